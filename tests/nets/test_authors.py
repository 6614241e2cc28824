import functools
import io
import os
import pickle
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.reference import authors_reference, golden, mtan_reference
from torch import Tensor

from tutelage.nets import MTAN, SegNet, load_authors

FILTERS = (2, 3, 4, 5, 6)
MTAN_FILTERS = (2, 3, 4, 5, 5)  # theirs needs the last two to be equal
WIDTHS = {"segmentation": 13, "depth": 1, "normals": 3}


def tensors(deep: bool = False) -> dict[str, Tensor]:
    """A small checkpoint's, with running statistics that are not those of a new network."""
    return drawn(authors_reference.shapes(FILTERS, deep=deep))


def tensors_of_mtan(*widths: int) -> dict[str, Tensor]:
    return drawn(mtan_reference.shapes(MTAN_FILTERS, widths or mtan_reference.WIDTHS))


def drawn(shapes: Iterable[tuple[str, torch.Size]]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.rand(shape, generator=generator) + 0.5 * name.endswith("running_var") - 0.4 * (len(shape) == 4)
        for name, shape in shapes
    }


def small(*tasks: str, variant: str = "standard") -> SegNet:
    return SegNet({t: WIDTHS[t] for t in tasks or WIDTHS}, variant=variant, filters=FILTERS).eval()


def small_mtan(*tasks: str) -> MTAN:
    return MTAN({t: WIDTHS[t] for t in tasks or WIDTHS}, filters=MTAN_FILTERS).eval()


def save(path: Path, state: object, **rest: object) -> Path:
    """As their scripts do."""
    optimizer = {"state": {0: {"step": 3, "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    torch.save({"epoch": 3, "state_dict": state, "best_loss": np.float32(0.5), "optimizer": optimizer} | rest, path)
    return path


def expect(net: SegNet, path: Path, *parts: str, **options: object) -> None:
    """One line that says all of `parts`, and a network as it was."""
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with pytest.raises(ValueError) as error:  # noqa: PT011  # the parts are the match
        load_authors(net, path, **options)
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_the_authors_figures_from_a_file(tmp_path: Path) -> None:
    shapes = [(name, shape) for name, shape in authors_reference.shapes() if name != "logsigma_dist"]
    state = {name: golden.weight(name, shape, golden.STUDENT + i) for i, (name, shape) in enumerate(shapes)}
    path = save(tmp_path / "checkpoint.pth.tar", OrderedDict(state | {"logsigma_dist": torch.zeros(6)}))
    net = SegNet({"normals": 3, "segmentation": 13, "depth": 1}).eval()
    load_authors(net, path)
    path.unlink()  # 100 MB
    golden.assert_the_authors_outputs(net)


@pytest.mark.parametrize("variant", ["standard", "deep"])
def test_every_tensor_is_where_the_authors_code_reads_it(tmp_path: Path, variant: str) -> None:
    state = tensors(deep=variant == "deep")
    net = small(variant=variant)
    load_authors(net, save(tmp_path / "x", state))
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        output = net(images)
    heads, bottleneck, last = authors_reference.forward(state, images)
    torch.testing.assert_close(list(output.predictions.values()), heads, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(output.taps["bottleneck"], bottleneck)
    torch.testing.assert_close(output.taps["last"], last)


@torch.no_grad()
@pytest.mark.parametrize("tasks", [tuple(WIDTHS), ("segmentation",), ("normals",)])
def test_every_tensor_of_mtan_is_where_the_authors_code_reads_it(tmp_path: Path, tasks: tuple[str, ...]) -> None:
    state, net = tensors_of_mtan(*(WIDTHS[t] for t in tasks)), small_mtan(*tasks)
    load_authors(net, save(tmp_path / "x", state))
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    output = net(images)
    actual = (output.predictions, output.taps["bottleneck"], output.taps["last"])
    for values, expected in zip(actual, mtan_reference.forward(state, images), strict=True):
        torch.testing.assert_close([values[t] for t in tasks], expected, rtol=1e-4, atol=1e-4)


def test_wide() -> None:
    with torch.device("meta"):
        ours = SegNet(WIDTHS, variant="wide").state_dict()
    wide = dict(authors_reference.shapes((64, 128, 256, 512, 1024)))
    sizes = sorted(tuple(x.shape) for name, x in ours.items() if "num_batches" not in name)
    assert sizes == sorted(tuple(shape) for name, shape in wide.items() if name != "logsigma_dist")


@pytest.mark.parametrize("task", WIDTHS)
def test_a_teacher_takes_trunk_and_its_own_head(tmp_path: Path, task: str) -> None:
    path = save(tmp_path / "x", tensors())
    every, teacher, renamed = small(), small(task), SegNet({"other": WIDTHS[task]}, filters=FILTERS)
    load_authors(every, path)
    load_authors(teacher, path)
    load_authors(renamed, path, heads={"other": task})
    state = every.state_dict()
    assert all(torch.equal(x, state[name]) for name, x in teacher.state_dict().items())
    assert all(torch.equal(x, state[name.replace("other", task)]) for name, x in renamed.state_dict().items())


@pytest.mark.parametrize("legacy", [False, True])
def test_what_is_around_the_tensors(tmp_path: Path, legacy: bool) -> None:
    state, expected = tensors(), small()
    load_authors(expected, save(tmp_path / "x", state))
    counts = {"encoder_block.0.1.num_batches_tracked": torch.tensor(7)}
    contents = {
        "bare": state,
        "parallel": {"state_dict": {f"module.{name}": x for name, x in state.items()}},
        "scores": {"state_dict": state, "best_loss": np.float64(0.5), "more": [np.float32(1), np.int64(2)]},
        "newer torch": {"state_dict": state | counts},
        "double": {"state_dict": {name: x.double() for name, x in state.items()}},
        "follow-up": {
            "state_dict": {authors_reference.follow_up(name): x for name, x in state.items() if "logsigma" not in name},
            "best_performance": np.float32(1), "adaptor_depth": {"conv1.weight": torch.ones(1)},
        },
    }  # fmt: skip
    for name, content in contents.items():
        net = small()
        torch.save(content, tmp_path / name, _use_new_zipfile_serialization=not legacy)
        load_authors(net, tmp_path / name)
        for key, x in net.state_dict().items():
            if "num_batches" not in key:
                torch.testing.assert_close(x, expected.state_dict()[key], msg=f"{name}: {key}")
    load_authors(net, tmp_path / "newer torch")
    assert net.state_dict()["encoder.0.1.num_batches_tracked"] == 7


def test_scalars_of_numpy_1_and_2(tmp_path: Path) -> None:
    file = io.BytesIO()
    torch.save({"state_dict": tensors(), "best_loss": np.float32(1)}, file, _use_new_zipfile_serialization=False)
    for written in (b"numpy._core.multiarray", b"numpy.core.multiarray"):
        content = file.getvalue().replace(b"numpy._core.multiarray", written).replace(b"numpy.core.multiarray", written)
        assert content.count(written) == 1
        (tmp_path / "x").write_bytes(content)
        load_authors(small(), tmp_path / "x")


def test_saved_on_a_gpu(tmp_path: Path) -> None:
    file = io.BytesIO()
    torch.save({"state_dict": tensors()}, file, _use_new_zipfile_serialization=False)
    content = file.getvalue().replace(b"X\x03\0\0\0cpu", b"X\x06\0\0\0cuda:0")
    assert b"cuda:0" in content
    (tmp_path / "x").write_bytes(content)
    net = small()
    load_authors(net, tmp_path / "x")
    assert {p.device.type for p in net.parameters()} == {"cpu"}


def test_the_follow_ups_teacher(tmp_path: Path) -> None:
    state = {authors_reference.follow_up(name): x for name, x in tensors().items() if "logsigma" not in name}
    state = {name.replace("decoders.depth", "decoder"): x for name, x in state.items()}
    state = {name: x for name, x in state.items() if not name.startswith("decoders.")}
    path, teacher = save(tmp_path / "x", state), SegNet({"distance": 1}, filters=FILTERS)
    load_authors(teacher, path)
    assert torch.equal(teacher.state_dict()["heads.distance.1.weight"], state["decoder.pred_task.1.weight"])
    expect(small("segmentation"), path, "decoder.pred_task.1.weight", "(13, 2, 1, 1)", "(1, 2, 1, 1)", "1 channels")
    expect(small(), path, "a head for task `segmentation`", "`pred_task1` and no `decoders.semantic.pred_task`")


class Runs:
    """Pickles as a call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    ("function", "wants"), [(exec, "`exec`"), (os.system, "system`"), (functools.partial, "`functools.partial`")]
)
def test_a_file_that_wants_to_run_code(tmp_path: Path, function: object, wants: str, legacy: bool) -> None:
    trace = tmp_path / "trace"
    command = f"open({str(trace)!r}, 'w')" if function is exec else f"touch {trace}"
    argument = Runs(os.system, command) if function is functools.partial else command
    content = {"state_dict": tensors(), "best_loss": Runs(function, argument)}
    torch.save(content, tmp_path / "x", _use_new_zipfile_serialization=not legacy)
    expect(small(), tmp_path / "x", str(tmp_path / "x"), "wants to run", wants, "nothing of it was run")
    assert not trace.exists()


def test_the_payload_of_that_test_is_alive(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Runs(os.system, f"touch {tmp_path / 'trace'}")))
    assert (tmp_path / "trace").exists()


def test_only_scalars_of_numpy_are_ignored(tmp_path: Path) -> None:
    allowed = set(torch.serialization.get_safe_globals())
    expect(small(), save(tmp_path / "x", tensors(), best_loss=np.ones(2)), "wants to run", "_reconstruct`")
    assert set(torch.serialization.get_safe_globals()) == allowed


def test_not_a_checkpoint(tmp_path: Path) -> None:
    expect(small(), tmp_path / "none", f"{tmp_path / 'none'}: ", "no such file")
    expect(small(), tmp_path, "no such file")
    for content in (b"", b"<!DOCTYPE html>", b"PK\x03\x04 cut off", pickle.dumps({"a": 1}, protocol=4)):
        (tmp_path / "x").write_bytes(content)
        expect(small(), tmp_path / "x", "found one that cannot be read", "nothing of it was run")
    for content, message in (([1], "found a list"), ({"epoch": 3, "net": {}}, "found a dict of epoch, net")):
        torch.save(content, tmp_path / "x")
        expect(small(), tmp_path / "x", "expected a state_dict", message)


@pytest.mark.parametrize("task", WIDTHS)
def test_a_teacher_of_mtan(tmp_path: Path, task: str) -> None:
    """Of three tasks it takes its own attention and head; a file of one task does not say which that is."""
    path, alone = save(tmp_path / "x", tensors_of_mtan()), save(tmp_path / "alone", tensors_of_mtan(WIDTHS[task]))
    every, teacher = small_mtan(), small_mtan(task)
    load_authors(every, path)
    load_authors(teacher, path)
    state = every.state_dict()
    assert all(torch.equal(x, state[name]) for name, x in teacher.state_dict().items())
    load_authors(teacher, alone)
    renamed = MTAN({"other": WIDTHS[task]}, filters=MTAN_FILTERS)
    load_authors(renamed, alone)
    state = renamed.state_dict()
    assert all(torch.equal(x, state[name.replace(task, "other")]) for name, x in teacher.state_dict().items())
    expect(every, alone, "a head for task `segmentation`", "no `pred_task1`")
    wide = MTAN({task: 7}, filters=MTAN_FILTERS)
    expect(wide, alone, f"`pred_task.1.weight` of shape (7, 2, 1, 1), found ({WIDTHS[task]}, 2, 1, 1)", "channels")


def test_mtan_and_segnet_do_not_fit_each_other(tmp_path: Path) -> None:
    state, path = tensors_of_mtan(), tmp_path / "x"
    narrow = SegNet(WIDTHS, filters=MTAN_FILTERS)
    expect(narrow, save(path, state), "the authors' SegNet, found also `encoder_att.0.0.0.weight`", "other kinds")
    segnet = {name: x for name, x in state.items() if "att" not in name}
    expect(small_mtan(), save(path, segnet), "the authors' MTAN, found no `encoder_block_att.0.0.weight`; other kinds")
    expect(small_mtan(), save(path, without(state, "decoder_att.1.4")), "no `decoder_att.1.4.0.weight`", "again")
    load_authors(small_mtan("normals"), path)
    expect(small_mtan(), save(path, state | {"encoder_att.3.0.0.weight": torch.ones(1)}), "also `encoder_att.3.0.0")
    wide = MTAN(WIDTHS, filters=(2, 3, 4, 5, 6))
    expect(wide, save(path, state), "of shape (6, 5, 3, 3), found (5, 5, 3, 3); build the network with the file's num")


def without(state: dict[str, Tensor], *names: str) -> dict[str, Tensor]:
    return {name: x for name, x in state.items() if not name.startswith(names)}


def test_other_networks(tmp_path: Path) -> None:
    state, path = tensors(), tmp_path / "x"
    expect(small(), save(path, {}), "no `encoder_block.0.0.weight`", "`variant`")
    expect(small(), save(path, small().state_dict()), "no `encoder_block.0.0.weight`")
    expect(small(), save(path, without(state, "conv_block_dec.4.1.1.bias")), "no `conv_block_dec.4.1.1.bias`")
    expect(small(), save(path, state | {"encoder_att.0.0": torch.ones(1)}), "also `encoder_att.0.0`", "other kinds")
    expect(small(), save(path, tensors(deep=True)), "also `encoder_block.0.3.weight`", "`variant`")
    expect(small(variant="deep"), save(path, state), "no `encoder_block.0.3.weight`", "`variant`")
    wide = SegNet(WIDTHS, filters=(2, 3, 4, 5, 12))
    expect(wide, path, "`encoder_block.4.0.weight` of shape (12, 5, 3, 3), found (6, 5, 3, 3)", "`variant`")


def test_other_heads(tmp_path: Path) -> None:
    state, path = tensors(), tmp_path / "x"
    save(path, state)
    few = SegNet({"segmentation": 5}, filters=FILTERS)
    expect(few, path, "`pred_task1.1.weight` of shape (5, 2, 1, 1), found (13, 2, 1, 1)", "give the task 13 channels")
    parts = SegNet({"depth": 1, "parts": 13}, filters=FILTERS)
    expect(parts, path, "task `parts`", "segmentation, depth, normals", "heads={'parts': ...}")
    expect(parts, path, "task `parts`", "found `semantic`", heads={"parts": "semantic"})
    expect(parts, path, "expected tasks among depth, parts, found `part`", heads={"part": "segmentation"})
    expect(small(), save(path, without(state, "pred_task2")), "for task `depth`", "no `pred_task2`")
    expect(small(), save(path, without(state, "pred_task2.1.bias")), "no `pred_task2.1.bias`")
    load_authors(small("normals"), path)  # the heads of others do not matter


def test_the_names_are_those_of_their_files() -> None:
    if "TUTELAGE_DATA" not in os.environ:
        pytest.skip("set TUTELAGE_DATA to the folder beside authors_keys.txt to compare with it")
    path = Path(os.environ["TUTELAGE_DATA"]).parent / "authors_keys.txt"
    if not path.is_file():
        pytest.skip(f"{path} is not there to compare with")
    lines = {}
    for section in path.read_text().split("\n## ")[1:]:
        title, *rest = section.strip().split("\n")
        lines[title.split(" (")[0]] = [line for line in rest if line]
    expected = [(name, tuple(shape)) for name, shape in authors_reference.shapes()]
    assert lines["SegNet, three tasks, standard"] == [f"{name} {shape}" for name, shape in expected]
    assert lines["Universal Representations, SegNet, three tasks"] == [
        f"{authors_reference.follow_up(name)} {shape}" for name, shape in expected if name != "logsigma_dist"
    ]
    assert lines["Universal Representations, SegNet, single task"][0] == "decoder.pred_task.0.weight (64, 64, 3, 3)"
    for title, widths in (("MTAN, three tasks", (13, 1, 3)), ("MTAN, single task", (13,))):
        assert lines[title] == [f"{name} {tuple(shape)}" for name, shape in mtan_reference.shapes(widths=widths)]
