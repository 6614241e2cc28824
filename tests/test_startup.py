"""Words that need no network are answered before PyTorch is loaded, and a package loads what it needs alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tutelage.values.draft import make_draft
from tutelage.values.presets import read_method

SCRIPT = """
import sys
from tutelage.cli import main
try:
    status = main(sys.argv[1:])
except SystemExit as end:
    status = end.code
print(status, "torch" in sys.modules)
"""
VERBS = (
    *("init", "run", "tune", "presets", "inspect", "report", "compare", "bench"),
    *("prepare", "predict", "export", "push", "app", "cache", "completion"),
)
# words -> exit status
LIGHT: dict[tuple[str, ...], int] = {
    ("--help",): 0,
    ("--version",): 0,
    ("presets",): 0,
    **{(verb, "--help"): 0 for verb in VERBS},
    ("prepare", "nyuv2", "--help"): 0,
    ("init", "no-such-folder"): 2,
    ("init", "wrong.yaml"): 2,
    ("init", ".", "--out", "wrong.yaml"): 2,
    ("run",): 2,
    ("rum", "rooms"): 2,
    ("report", "runs/rooms", "--no-such-flag"): 2,
    ("run", "no-such-preset"): 2,
    ("run", "no-such-preset", "--help"): 2,
    ("run", "no-such-file.yaml"): 2,
    ("run", "rooms-tiny", "--with", "no-such-overlay"): 2,
    ("run", "rooms-tiny", "--methods", "no-such-method"): 2,
    ("run", "wrong.yaml"): 2,
    ("tune", "no-such-preset"): 2,
    ("tune", "rooms", "--trails", "3"): 2,
    # Keys, classes, values and paths of a study, in flags and in its file.
    **{
        ("run", "rooms-tiny", *words.split()): 2
        for words in (
            *("--epocs 3", "--data.sise 3,4", "--net.widht 2", "--train.student.optimiser.lr 1", "--method.url.x 1"),
            *("--net tutelage.nets.SegNett", "--net nowhere.Net", "--train.student.optimizer torch.optim.SGDD"),
            *("--epochs many", "--precision fp8", "--seeds a,b", "--data.size 3,x", "--epochs", "--logger wandbb"),
            *("--data tutelage.data.NYUv2", "--data tutelage.data.NYUv2 --data.root nowhere", "--teachers.depth no.pt"),
            *("--teachers.depht wrong.yaml", "--dry-rum", "--check some", "--launcher rai", "rooms", "--train fast"),
        )
    },
    ("run", "--epochs", "3"): 2,
    ("run", "--epochs", "3", "no-such-preset"): 2,
    ("run", "key.yaml"): 2,
    ("run", "class.yaml"): 2,
    ("rooms",): 2,
    ("run", "nyuv2-segnet"): 2,
    ("report", "no-such-folder"): 2,
    ("compare", "no-such-folder", "no-such-folder"): 2,
    ("export", "no-such-file.safetensors", "--out", "out.onnx"): 2,
    ("predict", "no-such-file.safetensors", "x.png", "--out", "out"): 2,
    ("predict", "wrong.yaml", "photo.png", "--out", "out", "--write", "map"): 2,
    ("app", "no-such-folder"): 2,
    ("app", "no-such-folder", "--port", "x"): 2,
    ("push", "no-such-folder", "someone/name", "--license", "mit"): 2,
    ("predict", "wrong.yaml", "no-such-image.png", "--out", "out"): 2,
}
MOST = 0.5  # CPU seconds, of which most machines take half; the best of five counts, since a busy machine takes more
# As installed: with compiled modules, which are written by the first of the runs if they are not there.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@pytest.mark.parametrize("words", LIGHT, ids=" ".join)
def test_without_torch(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("methods: [single, {")
    (tmp_path / "key.yaml").write_text("study: x\ndta: {}\n")
    (tmp_path / "class.yaml").write_text("study: x\ntasks: {}\ndata: Room\nnet: tutelage.nets.SegNet\n")
    for _ in range(5):
        before = os.times()
        command = [sys.executable, "-c", SCRIPT, *words]
        done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
        after = os.times()
        spent = sum(after[2:4]) - sum(before[2:4])
        if spent < MOST:
            break
    status, loaded = done.stdout.split()[-2:]
    assert (int(status), loaded) == (LIGHT[words], "False"), done.stderr
    if status == "2" and words != ("run",):
        assert done.stderr.startswith("tutelage: ")
        assert done.stderr.count("\n") == 1
        assert "expected" in done.stderr
        assert "found" in done.stderr
    assert spent < MOST, f"{spent:.2f} s of CPU"


def test_methods_that_are_not_selected_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each selected method and its bases, and those alone: reading all took half of the half second."""
    read = list[str]()
    used, of_all = (sys.modules[f"tutelage.values.{name}"] for name in ("methods", "presets"))  # names of functions too
    for module in (used, of_all):
        monkeypatch.setattr(module, "read_method", lambda name: read.append(name) or read_method(name))
    make_draft("here", {"study": "x", "tasks": {}, "methods": ["uniform", "kd4mtl", "url"]})
    assert set(read) == {"uniform", "kd4mtl", "url"}
    assert len(read) <= 9  # as they are checked, as those are found that teach them, and as they are defined


def test_the_first_line_comes_before_torch(tmp_path: Path) -> None:
    script = (
        "import builtins, sys\nreal = builtins.__import__\n"
        "def without_torch(name, *rest):\n"
        "    if name.split('.')[0] == 'torch': raise ImportError(name)\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = without_torch\nfrom tutelage.cli import main\nsys.exit(main(sys.argv[1:]))"
    )
    words = ["run", "rooms-tiny", "--seeds", "0,1", "--methods", "uniform,url", "--out", "here"]
    done = subprocess.run([sys.executable, "-c", script, *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "study     rooms-tiny: uniform, url; seeds 0, 1; in here\n"
    assert done.returncode != 0  # where PyTorch would have been


HEAVY = ("torchmetrics", "lightning_fabric", "scipy", "sklearn", "matplotlib", "tensorboard", "torchjd", "jsonargparse")
IMPORTS = {
    "import tutelage": ("torch", "numpy", "rich", "yaml", *HEAVY),
    # In one process, since what each of them needs is the same.
    "from tutelage.nets import SegNet; from tutelage.tasks import Segmentation; Segmentation(3); "
    "from tutelage.distill import FeatureDistiller; from tutelage.balance import Uniform; "
    "from tutelage.data import Rooms; import tutelage; tutelage.load; import tutelage.deploy": HEAVY,
    "import tutelage.study": ("torchmetrics", "scipy.stats", "sklearn", "matplotlib", "torchvision", "tensorboard"),
    "import tutelage.report": ("torchmetrics", "lightning_fabric", "scipy.stats", "sklearn", "tensorboard", "torchjd"),
    "from tutelage.values import read_draft; read_draft('rooms-tiny')": ("torch", "numpy", *HEAVY),
}


@pytest.mark.parametrize("code", IMPORTS, ids=lambda code: code[:40])
def test_a_package_loads_what_it_needs_alone(code: str) -> None:
    script = f"import sys\n{code}\nprint(*[name for name in {IMPORTS[code]!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_metrics_are_found_by_name_and_no_other_name_is() -> None:
    from tutelage import metrics

    assert all(getattr(metrics, name) is not None for name in metrics.__all__)
    with pytest.raises(AttributeError, match=r"module 'tutelage.metrics' has no attribute 'NoSuchMetric'"):
        _ = metrics.NoSuchMetric
