from pathlib import Path

import pytest

from tutelage.layout import find_network


def touch(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


def students(*runs: str) -> tuple[str, ...]:
    return tuple(f"{run}/student.safetensors" for run in runs)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (("student.safetensors",), "student.safetensors"),
        (("predictor.safetensors",), "predictor.safetensors"),
        (("kd4mtl/seed0/student.safetensors",), "kd4mtl/seed0/student.safetensors"),
        (("seed1/student.safetensors",), "seed1/student.safetensors"),
        (students("single/a/seed0", "teacher/b/seed0", "url/seed0"), "url/seed0/student.safetensors"),
        (("single/a/seed0/student.safetensors",), "single/a/seed0/student.safetensors"),
    ],
)  # fmt: skip
def test_the_only_network_is_found(files: tuple[str, ...], found: str, tmp_path: Path) -> None:
    assert find_network(touch(tmp_path, *files)) == tmp_path / found
    assert find_network(tmp_path / found) == tmp_path / found


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "expected predictor.safetensors or student.safetensors in it, found none; give another folder"),
        (("config.yaml", "checkpoint.pt"), "found a run that is not finished; finish it with `tutelage run`"),
        (("study.yaml", "kd4mtl/seed0/config.yaml"), "found no finished run of it; finish it with `tutelage run`"),
        (("student.safetensors", "predictor.safetensors"), "found both; name one of the files"),
        (
            ("study.yaml", *students(*(f"{m}/seed{s}" for m in ("single/a", "kd4mtl", "url") for s in (0, 1)))),
            r"expected one trained network in it, found 4; give one: .*/kd4mtl/seed0, .*/kd4mtl/seed1, .*/url/seed0, "
            ".*/url/seed1$",
        ),
        (students(*(f"url/seed{s}" for s in range(9))), "found 9; give one: .*/url/seed5 and 3 more$"),
    ],
)  # fmt: skip
def test_none_or_several_are_one_line(files: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        find_network(touch(tmp_path, *files))
    with pytest.raises(ValueError, match="none: expected a network saved by tutelage, found No such file"):
        find_network(tmp_path / "none")


def test_a_name_that_is_close_is_proposed(tmp_path: Path) -> None:
    touch(tmp_path, *students("kd4mtl/seed0"))
    with pytest.raises(ValueError, match=r"found No such file; did you mean `.*kd4mtl/seed0`\?; give another file"):
        find_network(tmp_path / "kd4mtl/seed1")
