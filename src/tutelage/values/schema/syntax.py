"""What pieces of source say: names, and the fields of dataclasses."""

import ast

from tutelage.values.schema.source import Found, Imported, MissingNameError, Module, UnreadableError, find


def is_dataclass(node: ast.ClassDef) -> bool:
    """Whether a class is marked as one."""
    marks = [mark.func if isinstance(mark, ast.Call) else mark for mark in node.decorator_list]
    return any(last_word(mark) == "dataclass" for mark in marks)


def _field(value: ast.expr | None) -> dict[str | None, ast.expr]:
    """The arguments of `field(...)`."""
    called = isinstance(value, ast.Call) and last_word(value.func) == "field"
    return {word.arg: word.value for word in value.keywords} if called and isinstance(value, ast.Call) else {}


def default_of(value: ast.expr | None) -> ast.expr | None:
    """The default of a field, or what makes it; None: it is required."""
    words = _field(value)
    return words.get("default", words.get("default_factory")) if words else value


def is_left_out(value: ast.expr | None) -> bool:
    """Whether a field is none of the arguments."""
    init = _field(value).get("init")
    return isinstance(init, ast.Constant) and init.value is False


def last_word(node: ast.expr) -> str:
    """The last word of a name; empty where it is none."""
    node = node.value if isinstance(node, ast.Subscript) else node
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def full_name(node: ast.expr, module: Module) -> str:
    """The dotted path that a name in a module stands for."""
    if isinstance(node, ast.Attribute):
        return f"{full_name(node.value, module)}.{node.attr}"
    if not isinstance(node, ast.Name):
        raise UnreadableError(module.name)
    binding = module.binding(node.id)
    if isinstance(binding, Imported):
        return binding.module if binding.name is None else f"{binding.module}.{binding.name}"
    if binding is None:
        raise MissingNameError(node.id)
    return f"{module.name}.{node.id}"


def resolve(node: ast.expr, module: Module) -> Found:
    """Where what a name in a module stands for is defined."""
    return find(full_name(node.value if isinstance(node, ast.Subscript) else node, module))
