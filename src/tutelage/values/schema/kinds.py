"""What a class takes, and what may stand at each of its arguments, as far as their annotations say."""

import ast
from dataclasses import dataclass, field, replace
from functools import cache, cached_property

from tutelage.values.schema.source import Found, Module, SourceError, UnreadableError, find
from tutelage.values.schema.syntax import default_of, full_name, is_dataclass, is_left_out, last_word, resolve

_SCALARS = {"int", "float", "bool", "str", "Path", "None"}
_LISTS = {"list", "tuple", "set", "frozenset", "Sequence", "Iterable", "Collection", "List", "Tuple"}
_NAMES = {"dict", "Mapping", "MutableMapping", "Dict"}
_NO_ARGUMENTS = {"ABC", "Generic", "Protocol", "object"}  # bases that take none


@dataclass(frozen=True)
class Kind:
    """What may stand at a key.

    Attributes:
        scalars: some of int, float, bool, str, Path, None.
        choices: values that are listed one by one.
        item: what a list holds; None: no list may stand here.
        values: what a mapping of names holds; None: no such mapping may stand here.
        config: the class whose keys stand here as they are.
        builds: whether a class may be named here, with `class_path` and `init_args`.
        bases: the classes of tutelage that it may derive from; empty: any, for all that is known.
        skip: the number of arguments that such a class receives later, when it is called.
        open: whether anything else may stand here, for all that is known.
    """

    scalars: frozenset[str] = frozenset()
    choices: tuple[object, ...] = ()
    item: "Kind | None" = None
    values: "Kind | None" = None
    config: "Declaration | None" = None
    builds: bool = False
    bases: frozenset[str] = frozenset()
    skip: int = 0
    open: bool = False

    def __or__(self, other: "Kind") -> "Kind":
        return Kind(
            self.scalars | other.scalars,
            (*self.choices, *other.choices),
            self.item or other.item,
            self.values or other.values,
            self.config or other.config,
            self.builds or other.builds,
            frozenset() if any(kind.builds and not kind.bases for kind in (self, other)) else self.bases | other.bases,
            max(self.skip, other.skip),
            self.open or other.open,
        )

    @property
    def only_lists(self) -> bool:
        """Whether a list, or null, is all that may stand here."""
        rest = replace(self, item=None, scalars=self.scalars - {"None"})
        return self.item is not None and rest == Kind()

    @property
    def only_scalars(self) -> bool:
        """Whether values without parts are all that may stand here."""
        return Kind(self.scalars, self.choices) == self

    @property
    def only_keys(self) -> bool:
        """Whether a mapping, or null, is all that may stand here."""
        return (self.values or self.config) is not None and not (self.scalars - {"None"} or self.item or self.open)


ANYTHING = Kind(open=True)


@dataclass(frozen=True)
class Argument:
    """One argument of a class or function.

    Attributes:
        annotation: as it is written; None: there is none.
        module: where it is written.
        default: as it is written; None: the argument is required.
    """

    annotation: ast.expr | None
    module: Module
    default: ast.expr | None

    @cached_property
    def kind(self) -> Kind:
        """What may stand there; of classes outside of tutelage nothing is known."""
        return _kind(self.annotation, self.module) if self.module.ours else ANYTHING

    @cached_property
    def nullable(self) -> bool:
        """Whether null may stand there, for all that is known."""
        if self.annotation is None or (isinstance(self.default, ast.Constant) and self.default.value is None):
            return True
        kind = _kind(self.annotation, self.module)
        return kind.open or "None" in kind.scalars

    @property
    def default_path(self) -> str | None:
        """The class that stands there by default; None: it has no name."""
        try:
            return None if self.default is None else full_name(self.default, self.module)
        except SourceError:
            return None


@dataclass(frozen=True)
class Declaration:
    """What a class or function takes.

    Attributes:
        arguments: by name, in their order.
        open: whether it takes others, for all that is known.
    """

    arguments: dict[str, Argument] = field(default_factory=dict)
    open: bool = False

    def without_first(self, count: int) -> "Declaration":
        """The same but for the first arguments, which are given later."""
        return Declaration(dict(list(self.arguments.items())[count:]), self.open)


@cache
def declaration(path: str) -> Declaration:
    """What the class or function with this dotted path takes.

    Raises:
        MissingNameError: there is none.
        UnreadableError: only an import could tell.
    """
    return _declared(find(path))


def _declared(found: Found) -> Declaration:
    node = found.node
    if isinstance(node, ast.FunctionDef):
        return _of_function(node, found.module)
    if not isinstance(node, ast.ClassDef):
        raise UnreadableError(found.module.name)
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            return _of_function(statement, found.module).without_first(1)
    dataclass_, above = is_dataclass(node), [_of_base(base, found.module) for base in node.bases]
    if not dataclass_:  # Python takes the first `__init__`; whether a base has one is not asked of unreadable ones
        return next((base for base in above if base.open or base.arguments), Declaration())
    own = {
        statement.target.id: Argument(statement.annotation, found.module, default_of(statement.value))
        for statement in node.body
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and last_word(statement.annotation) != "ClassVar"
        and not is_left_out(statement.value)
    }
    inherited = {name: argument for base in reversed(above) for name, argument in base.arguments.items()}
    return Declaration({**inherited, **own}, any(base.open for base in above))


def _of_function(node: ast.FunctionDef, module: Module) -> Declaration:
    given = node.args
    positional = [*given.posonlyargs, *given.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(given.defaults)) + list(given.defaults)
    every = [*zip(positional, defaults, strict=True), *zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    arguments = {one.arg: Argument(one.annotation, module, default) for one, default in every}
    return Declaration(arguments, given.kwarg is not None)


def _of_base(base: ast.expr, module: Module) -> Declaration:
    if last_word(base) in _NO_ARGUMENTS:
        return Declaration()
    try:
        found = resolve(base, module)
        return _declared(found) if found.module.ours == module.ours else Declaration(open=True)
    except SourceError:
        return Declaration(open=True)


def _kind(node: ast.expr | None, module: Module) -> Kind:
    """What an annotation lets stand."""
    if isinstance(node, ast.Constant):
        return _kind(ast.parse(node.value, mode="eval").body, module) if isinstance(node.value, str) else _NOTHING
    if isinstance(node, ast.BinOp):
        return _kind(node.left, module) | _kind(node.right, module)
    if isinstance(node, ast.Subscript):
        parts = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        return _of_generic(last_word(node), parts, module)
    if not isinstance(node, ast.Name | ast.Attribute):
        return ANYTHING
    if (name := last_word(node)) in _SCALARS:
        return Kind(frozenset({name}))
    if name in _LISTS | _NAMES:
        return Kind(item=ANYTHING) if name in _LISTS else Kind(values=ANYTHING)
    return _of_class(node, module)


_NOTHING = Kind(frozenset({"None"}))


def _of_generic(name: str, parts: list[ast.expr], module: Module) -> Kind:
    if name == "Literal":
        return Kind(choices=tuple(part.value for part in parts if isinstance(part, ast.Constant)))
    if name == "Optional":
        return _kind(parts[0], module) | _NOTHING
    if name == "Union":
        return _joined([_kind(part, module) for part in parts])
    if name in _LISTS:
        elements = [part for part in parts if not (isinstance(part, ast.Constant) and part.value is ...)]
        return Kind(item=_joined([_kind(part, module) for part in elements]))
    if name in _NAMES:
        return Kind(values=_kind(parts[-1], module))
    if name == "Callable":
        later = parts[0].elts if isinstance(parts[0], ast.List) else []
        return Kind(builds=True, bases=_kind(parts[-1], module).bases, skip=len(later))
    return ANYTHING


def _joined(kinds: list[Kind]) -> Kind:
    joined = Kind()
    for kind in kinds:
        joined = joined | kind
    return joined


def _of_class(node: ast.expr, module: Module) -> Kind:
    """What stands for an alias, the keys of a dataclass, or an object of a class."""
    try:
        if not full_name(node, module).startswith("tutelage."):
            return Kind(builds=True, open=True)
        found = resolve(node, module)
    except SourceError:
        return ANYTHING
    if isinstance(found.node, ast.Assign | ast.AnnAssign):
        return _kind(found.node.value, found.module)
    if not isinstance(found.node, ast.ClassDef):
        return ANYTHING
    bases = frozenset() if "Protocol" in map(last_word, found.node.bases) else frozenset({_name(found)})
    return Kind(config=_declared(found) if is_dataclass(found.node) else None, builds=True, bases=bases)


def ancestors(path: str) -> frozenset[str] | None:
    """The names of a class of tutelage and of those of tutelage that it derives from; None: only an import could tell.

    Raises:
        MissingNameError: there is none.
        UnreadableError: only an import could tell.
    """
    found = find(path)
    return _ancestors(found) if found.module.ours and isinstance(found.node, ast.ClassDef) else None


def _ancestors(found: Found) -> frozenset[str] | None:
    assert isinstance(found.node, ast.ClassDef)
    names = {_name(found)}
    for base in found.node.bases:
        try:
            above = resolve(base, found.module)
        except SourceError:
            if not _is_foreign(base, found.module):
                return None
            continue
        if above.module.ours and isinstance(above.node, ast.ClassDef):
            of_base = _ancestors(above)
            if of_base is None:
                return None
            names |= of_base
    return frozenset(names)


def _is_foreign(node: ast.expr, module: Module) -> bool:
    """Whether a name is certainly none of tutelage's."""
    try:
        return not full_name(node.value if isinstance(node, ast.Subscript) else node, module).startswith("tutelage.")
    except SourceError:
        return isinstance(node, ast.Subscript | ast.Name | ast.Attribute) and last_word(node) in _NO_ARGUMENTS


def _name(found: Found) -> str:
    assert isinstance(found.node, ast.ClassDef)
    return f"{found.module.name}.{found.node.name}"
