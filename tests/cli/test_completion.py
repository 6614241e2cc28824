"""What a shell is given when it asks what may stand next; the process is a shell's, since the answer ends it."""

import subprocess
import sys
from os import environ
from pathlib import Path

import pytest

pytest.importorskip("argcomplete", reason="needs tutelage[completion]")

STUDY = """
data: {class_path: tutelage.data.NYUv2}  # no root yet
tasks: {depth: {class_path: tutelage.tasks.Depth}}
"""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_code_for_a_shell_names_the_command(shell: str) -> None:
    code = subprocess.run(
        [sys.executable, "-m", "tutelage", "completion", shell], capture_output=True, text=True, check=True
    ).stdout
    assert "tutelage" in code
    assert "argcomplete" in code.lower()


@pytest.mark.parametrize(
    ("line", "some", "none"),
    [
        ("tutelage ru", {"run"}, {"report"}),
        ("tutelage run nyu", {"nyuv2-lite", "nyuv2-segnet"}, {"rooms"}),
        ("tutelage run rooms --methods kd4mtl,u", {"kd4mtl,url", "kd4mtl,uniform"}, {"kd4mtl,kd4mtl"}),
        ("tutelage run rooms --with bal", {"balancing", "balancers"}, {"ablation"}),
        ("tutelage run rooms --net.f", {"--net.filters"}, {"--net.encoder"}),
        ("tutelage run nyuv2-lite --net.enc", {"--net.encoder"}, {"--net.filters"}),
        ("tutelage run mine.yaml --data.", {"--data.root"}, {"--data.train"}),
        ("tutelage run rooms --precision ", {"auto", "32-true"}, {"rooms"}),
        ("tutelage export runs/x --format ", {"onnx", "safetensors"}, {"csv"}),
        ("tutelage predict runs/x a.png --write label,", {"label,array", "label,sheet"}, {"label,label"}),
    ],
)
def test_a_line_is_completed(line: str, some: set[str], none: set[str], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(STUDY)
    answer = tmp_path / "answer"
    answer.touch()
    kept = {name: value for name, value in environ.items() if not name.startswith(("COMP_", "_ARGCOMPLETE"))}
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "tutelage"],
        cwd=tmp_path, env={**kept, **asked}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    words = {word.strip() for word in answer.read_text().split("\n")}
    assert not ended.stderr
    assert some <= words
    assert not none & words


def test_a_pipe_that_closes_early_ends_the_code_in_silence() -> None:
    command = [sys.executable, "-m", "tutelage", "completion", "bash"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert not process.stderr.read()
        assert process.wait() in (0, 141)
