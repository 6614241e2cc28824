"""What source code says of a name, read as text: importing PyTorch takes seconds, and an import runs code."""

import ast
import importlib.util
from collections.abc import Iterator
from functools import cache, cached_property
from importlib.machinery import ModuleSpec
from pathlib import Path
from pkgutil import get_importer
from typing import NamedTuple

_DYNAMIC = ("__getattr__", "globals()", "exec(", "setattr(", "sys.modules")  # a module that may bind names unseen
_DEEPEST = 20  # imports of imports that are followed


class SourceError(Exception):
    """The source does not say."""


class MissingNameError(SourceError):
    """There is no such name."""


class UnreadableError(SourceError):
    """Only an import could tell."""


class Imported(NamedTuple):
    """What an import statement binds a name to."""

    module: str
    name: str | None  # None: the module itself


class Found(NamedTuple):
    """Where a name is defined; `node` is None where it is a module."""

    module: "Module"
    node: ast.stmt | None


class Module:
    """A module's source.

    Args:
        spec: as the import system finds it.
        folders: those of a package; by default the spec's.
    """

    def __init__(self, spec: ModuleSpec, folders: list[str] | None = None) -> None:
        self.name, self.spec = spec.name, spec
        self.folders = list(spec.submodule_search_locations or []) if folders is None else folders
        self.ours = spec.name.split(".")[0] == "tutelage"

    @cached_property
    def text(self) -> str:
        """The source.

        Raises:
            UnreadableError: there is none, as in an extension.
        """
        if self.folders and self.spec.origin is None:
            return ""  # a package without an __init__.py
        if self.spec.origin is None or not self.spec.origin.endswith(".py"):
            raise UnreadableError(self.name)
        try:
            return Path(self.spec.origin).read_text()
        except (OSError, ValueError) as error:
            raise UnreadableError(self.name) from error

    @cached_property
    def _bound(self) -> tuple[dict[str, ast.stmt | Imported], list[str]]:
        try:
            tree = ast.parse(self.text)
        except (SyntaxError, ValueError) as error:  # the import will say what is wrong
            raise UnreadableError(self.name) from error
        names: dict[str, ast.stmt | Imported] = {}
        stars: list[str] = []
        for node in _statements(tree.body):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                names[node.name] = node
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names |= {target.id: node for target in targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.split(".")[0]
                    names[alias.asname or first] = Imported(alias.name if alias.asname else first, None)
            elif isinstance(node, ast.ImportFrom):
                source = self._absolute(node)
                stars += [source for alias in node.names if alias.name == "*"]
                names |= {alias.asname or alias.name: Imported(source, alias.name) for alias in node.names}
        return names, stars

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.name.split(".") if self.folders else self.name.split(".")[:-1]
        return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])

    @property
    def names(self) -> list[str]:
        """What the module binds."""
        return [name for name in self._bound[0] if not name.startswith("_")]

    def binding(self, name: str) -> "ast.stmt | Imported | None":
        """The statement that binds a name last; None: there is none."""
        return self._bound[0].get(name)

    def submodule(self, name: str) -> "Module | None":
        """The module of that name in this package."""
        full, folders = f"{self.name}.{name}", []
        for finder in filter(None, map(get_importer, self.folders)):
            if (spec := finder.find_spec(full)) is None:
                continue
            if spec.loader is not None:
                return Module(spec)
            folders += spec.submodule_search_locations or []
        return Module(ModuleSpec(full, None), folders) if folders else None  # folders without an __init__.py

    def resolve(self, name: str, depth: int = 0) -> Found:
        """Where a name of this module is defined.

        Raises:
            MissingNameError: there is none.
            UnreadableError: only an import could tell.
        """
        if depth > _DEEPEST:
            raise UnreadableError(name)
        binding = self.binding(name)
        if isinstance(binding, Imported):
            module = find_module(binding.module)
            return Found(module, None) if binding.name is None else module.resolve(binding.name, depth + 1)
        if binding is not None:
            return Found(self, binding)
        if (module_below := self.submodule(name)) is not None:
            return Found(module_below, None)
        for star in self._bound[1]:
            try:
                return find_module(star).resolve(name, depth + 1)
            except MissingNameError:
                continue
        if any(word in self.text for word in _DYNAMIC):
            raise UnreadableError(name)
        raise MissingNameError(f"no `{name}` in {self.name}")


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that an import executes, or may."""
    for node in body:
        yield node
        for block in ("body", "orelse", "handlers", "finalbody") if isinstance(node, ast.If | ast.Try) else ():
            for inner in getattr(node, block, []):
                yield from _statements(inner.body if isinstance(inner, ast.ExceptHandler) else [inner])


@cache
def find_module(name: str) -> Module:
    """A module by its full name; neither it nor a package above it is imported.

    Raises:
        MissingNameError: there is none.
        UnreadableError: only an import could tell.
    """
    first, *rest = name.split(".")
    if first in ("", "__main__"):
        raise UnreadableError(name)
    try:
        spec = importlib.util.find_spec(first)
    except (ImportError, ValueError) as error:  # an import hook that fails, or a module without a spec
        raise UnreadableError(name) from error
    if spec is None:
        raise MissingNameError(f"no module `{first}`")
    module = Module(spec)
    for i, word in enumerate(rest, 1):
        below = module.submodule(word)
        if below is None:
            if not module.folders or module.binding(word) is not None:
                raise UnreadableError(name)  # an attribute
            raise MissingNameError(f"no module `{'.'.join([first, *rest[:i]])}`")
        module = below
    return module


def find(path: str) -> Found:
    """Where the class or function with this dotted path is defined.

    Raises:
        MissingNameError: there is none.
        UnreadableError: only an import could tell.
    """
    module, _, name = path.rpartition(".")
    return find_module(module).resolve(name)
