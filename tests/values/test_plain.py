"""Text that is nested too deeply, or stands for too much, is one line."""

import time

import pytest

from tutelage.values import parse

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))


@pytest.mark.parametrize(
    ("text", "suffix", "line"),
    [
        ("[" * 100_000 + "]" * 100_000, ".json", "more than 100 levels"),
        ("[" * 200_000 + "]" * 200_000, ".yaml", "more than 100 levels"),
        ("- " * 200_000, ".yaml", "more than 100 levels"),
        ("[" * 150 + "]" * 150, ".yaml", "more than 100 levels"),
        ('{"a":' * 101 + "1" + "}" * 101, ".json", "more than 100 levels"),
        (LAUGHS, ".yaml", "more than 1000000 values"),
        ("a: &a [*a]", ".yaml", "more than 100 levels"),
        ("a: [", ".yaml", "while parsing a flow"),
        ("a: !!python/object/apply:os.getcwd []", ".yaml", "could not determine a constructor"),
        ("{", ".json", "Expecting"),
        ('{"a": 1, "digest": "0"}', ".json", "other values than were written"),
        ("1" * 5000, ".json", "Exceeds the limit"),
        (f"[{10**400}]", ".json", "a number of more than 1000 bits"),
        ("a: " + "1" * 5000, ".yaml", "^a number of 5000 digits$"),
        ("a: 1\nb: {c: 1,\n c: 2}", ".yaml", "^the key `c` in line 2 and again in line 3$"),
        ("1: 1\n'1': 2", ".yaml", "^the key `1` in line 1 and again in line 2$"),
    ],
)
def test_what_is_no_plain_value_is_one_line(text: str, suffix: str, line: str) -> None:
    began = time.monotonic()
    with pytest.raises(ValueError, match=line) as caught:
        parse(text, suffix)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 30


def test_plain_values_are_what_they_were() -> None:
    assert parse("a: &a [1, 2]\nb: *a\nc: null\n", ".yaml") == {"a": [1, 2], "b": [1, 2], "c": None}
    assert parse(b'[1, {"digest": 3}]', ".jsonl") == [1, {"digest": 3}]


def test_a_key_is_what_is_written() -> None:
    """A task called 1, or 2011, was an error of ours."""
    assert list(parse("1: a\n0x10: b\ntrue: c\n~: d\n1.0: e", ".yaml")) == ["1", "0x10", "true", "~", "1.0"]
    assert parse("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}", ".yaml")["b"] == {"x": 3, "y": 2}
