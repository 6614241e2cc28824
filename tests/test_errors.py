"""What other code says, in one line."""

from tutelage.errors import line


def test_a_text_of_several_lines_is_one_and_cut_off() -> None:
    assert line(ValueError(" a\n\n  b\tc ")) == "a b c"
    assert line(ValueError("long " * 100), 12) == "long long lo"
    assert line(TypeError()) == "TypeError"
