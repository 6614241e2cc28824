"""Old names of classes and arguments: the YAML that uses them keeps working, and one line says what to write."""

from collections.abc import Sequence
from typing import Any

# Both tables go with the next minor version.
CLASSES = {
    "tutelage.balance.Gradients": "tutelage.balance.Aggregator",
    "tutelage.balance.Losses": "tutelage.balance.Scalarizer",
    "tutelage.data.Class": "tutelage.data.ClassLabel",
    "tutelage.data.Classes": "tutelage.data.ClassesLabel",
    "tutelage.data.Depth": "tutelage.data.DepthLabel",
    "tutelage.data.InverseDepth": "tutelage.data.InverseDepthLabel",
    "tutelage.data.Mask": "tutelage.data.MaskLabel",
    "tutelage.data.Normals": "tutelage.data.NormalsLabel",
    "tutelage.data.Numbers": "tutelage.data.NumbersLabel",
    "tutelage.distill.Together": "tutelage.distill.SumDistiller",
    "tutelage.nets.Tapped": "tutelage.nets.TappedModule",
}
ARGUMENTS = {  # class -> {old argument: new argument}
    f"tutelage.data.{name}": {"val": "test"}
    for name in ("FromDataset", "HuggingFace", "MultiMnist", "OverlaidDigits", "Rooms")
}


def with_new_names(value: Any, replaced: dict[str, str]) -> Any:
    """Plain values with every old name replaced.

    Args:
        value: of a study, an overlay or a flag.
        replaced: receives {old name: new name} of every one that was there.
    """
    if isinstance(value, str) and value in CLASSES:
        replaced[value] = CLASSES[value]
        return CLASSES[value]
    if isinstance(value, list):
        return [with_new_names(item, replaced) for item in value]
    if not isinstance(value, dict):
        return value
    values = {key: with_new_names(item, replaced) for key, item in value.items()}
    path, arguments = values.get("class_path"), values.get("init_args")
    if isinstance(path, str) and isinstance(arguments, dict):
        values["init_args"] = {_argument(path, key, replaced): item for key, item in arguments.items()}
    return values


def flags_with_new_names(
    flags: Sequence[tuple[str, str | None]], values: dict[str, Any], replaced: dict[str, str]
) -> list[tuple[str, str | None]]:
    """The same of flags: class paths as values, and arguments of the study's classes as keys (`--data.source.val`)."""
    return [(f"--{_key(flag[2:], values, replaced)}", with_new_names(value, replaced)) for flag, value in flags]


def _key(key: str, values: dict[str, Any], replaced: dict[str, str]) -> str:
    words: list[str] = []
    owner: Any = values
    for word in key.split("."):
        if word != "init_args" and isinstance(owner, dict) and isinstance(path := owner.get("class_path"), str):
            word, owner = _argument(path, word, replaced), owner.get("init_args")
        words.append(word)
        owner = owner if word == "init_args" else owner.get(word) if isinstance(owner, dict) else None
    return ".".join(words)


def _argument(path: str, argument: str, replaced: dict[str, str]) -> str:
    new = ARGUMENTS.get(path, {}).get(argument)
    if new is None:
        return argument
    replaced[f"{path}({argument})"] = f"{path}({new})"
    return new


def notes(replaced: dict[str, str]) -> list[str]:
    """One line for each old name that was replaced."""
    return [
        f"deprecated: `{old}` is now `{new}`; the old name goes in the next release" for old, new in replaced.items()
    ]
