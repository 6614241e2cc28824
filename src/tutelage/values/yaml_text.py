"""Values as YAML text and back: scalars as YAML 1.2 reads them, so that `1e-1` is a number and `no` is a word."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # several times as fast, where PyYAML has it
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_DIGITS = 300  # of a whole number: no float holds a larger one, and Python refuses more than 4300
_RULES = (  # tag, pattern, first characters; in this order
    ("null", re.compile(r"~|null|Null|NULL|"), ["~", "n", "N", ""]),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF")),
    ("int", re.compile(r"[-+]?[0-9]+"), list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
    ("merge", re.compile(r"<<"), ["<"]),
)
_SCALARS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float")}


class _Reader(SAFE_LOADER):  # type: ignore[misc, valid-type]  # one of two classes
    """Reads scalars by the core schema of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # PyYAML's own, which `add_implicit_resolver` fills

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Take keys as they are written, and refuse one that is written twice, of which PyYAML takes the last."""
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        lines: dict[str, int] = {}
        for key in keys:
            if key.tag in _SCALARS:
                key.tag = "tag:yaml.org,2002:str"
            if key.value in lines:
                raise yaml.YAMLError(
                    f"the key `{key.value}` in line {lines[key.value]} and again in line {key.start_mark.line + 1}"
                )
            lines[key.value] = key.start_mark.line + 1
        super().flatten_mapping(node)  # adds the keys of others, named by `<<`


class _Writer(yaml.SafeDumper):
    """Quotes a text that YAML 1.1 or 1.2 would read as something else."""


for _tag, _pattern, _first in _RULES:
    _Reader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern.pattern})$"), _first)
_Writer.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(f"^(?:{_FLOAT.pattern})$"), list("-+.0123456789"))
_Reader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: _whole_number(loader.construct_scalar(node)))


def _whole_number(text: str) -> int:
    if len(text) > _DIGITS:
        raise yaml.YAMLError(f"a number of {len(text)} digits")
    return int(text)


def load_yaml(text: str | bytes) -> Any:
    """The values that a text holds.

    Raises:
        yaml.YAMLError: it is not YAML.

    >>> load_yaml("{study: no, lr: 1e-1, size: 010}")
    {'study': 'no', 'lr': 0.1, 'size': 10}
    """
    return yaml.load(text, Loader=_Reader)  # a safe loader


def dump_yaml(values: Mapping[str, Any]) -> str:
    """Values as text, in their order.

    >>> dump_yaml({"study": "1e-1", "lr": 0.1})
    "study: '1e-1'\\nlr: 0.1\\n"
    """
    return yaml.dump(dict(values), Dumper=_Writer, sort_keys=False)


def dump_line(value: Any) -> str:
    """One value as text that may stand behind its key.

    >>> dump_line(["08", 8, "a b"])
    "['08', 8, a b]"
    """
    text: str = yaml.dump(
        value, Dumper=_Writer, default_flow_style=True, width=float("inf"), allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("...").strip()
