"""The authors' public checkpoints, loaded into our networks without running code in them."""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path

from torch import Tensor

from tutelage.errors import UserError
from tutelage.nets.checkpoints import read_state_dict
from tutelage.nets.mtan import MTAN
from tutelage.nets.segnet import SegNet

# The names of their heads: in the code of 2020, in the follow-up's. MTAN's attention is in this order, too.
_HEADS = {
    "segmentation": ("pred_task1", "decoders.semantic.pred_task"),
    "depth": ("pred_task2", "decoders.depth.pred_task"),
    "normals": ("pred_task3", "decoders.normal.pred_task"),
}
# The names of the head in single-task networks: KD4MTL's MTAN, and all of the follow-up's. They do not name the task.
_ONLY_HEADS = ("pred_task", "decoder.pred_task")
_IN_A_HEAD = ("0.weight", "0.bias", "1.weight", "1.bias")
_IN_ANY_HEAD = {f"{name}.{x}" for names in (*_HEADS.values(), _ONLY_HEADS) for name in names for x in _IN_A_HEAD}
_NUMPY = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype")  # of numpy 1 and 2


def load_authors(net: SegNet, path: Path, heads: Mapping[str, str] | None = None) -> None:
    """Load a checkpoint of the authors' SegNet or MTAN into a multi-task network or a teacher.

    SegNet is that of *Knowledge Distillation for Multi-task Learning* (KD4MTL, variants `standard`, `wide` and `deep`)
    or of its follow-up, *Universal Representations*; MTAN is KD4MTL's. The file is what their scripts save, or the
    state_dict alone. KD4MTL's single-task checkpoints of SegNet hold three heads, of which one was trained. From a file
    with several heads, a single-task network takes the shared tensors and its own.

    No code in the file is run: torch reads it with `weights_only`, and the numpy scalars of its best score are ignored,
    as are unused log-variances. The network changes only if everything fits.

    >>> teacher = SegNet({"parts": 13})
    >>> path = Path("segnet_single_model_task_semantic_model_best.pth.tar")
    >>> load_authors(teacher, path, heads={"parts": "segmentation"})  # doctest: +SKIP

    Args:
        net: A network of the same size: `variant` as trained; segmentation with 13 channels, depth with 1, normals
            with 3.
        path: The file.
        heads: {our task: `segmentation`, `depth` or `normals`}, for tasks with other names than the authors' heads.

    Raises:
        ValueError: The file is missing, is no checkpoint or wants to run code; it has no head for a task; its tensors
            are not those of such a network.
    """
    state = _read(path)
    shared = _present(_shared(net), state)
    _check_names(net, list(shared.values()), state, path)
    names = shared | _present(_own(net, state, heads or {}, path), state)
    own = net.state_dict()
    _check_shapes(net, {name: own[ours] for ours, name in names.items()}, state, path)
    net.load_state_dict({**own, **{ours: state[name] for ours, name in names.items()}})


def _present(names: Mapping[str, str], state: Mapping[str, Tensor]) -> dict[str, str]:
    """The names without the batch-norm counters that the file lacks: older versions of torch did not save them."""
    return {ours: x for ours, x in names.items() if x in state or not x.endswith("num_batches_tracked")}


def _shared(net: SegNet) -> dict[str, str]:
    """{our name: their name} of the tensors that all tasks share.

    encoder_block and decoder_block hold the first layer of each level, conv_block_enc and conv_block_dec the one or two
    others. A layer of the deep variant has two convolutions. encoder_block_att and decoder_block_att are the f^j of
    MTAN.
    """
    convolutions = len(list(net.encoder[0].children())) // 6  # per layer; the first level has two layers
    names: dict[str, str] = {}
    for ours in net.state_dict():
        part, *place = ours.split(".")
        if part in ("heads", "attention"):
            continue
        if part.endswith("_shared"):
            names[ours] = f"{part.removesuffix('_shared')}_block_att.{'.'.join(place)}"
            continue
        level, module, tensor = place
        layer, within = divmod(int(module), 3 * convolutions)
        if layer == 0:
            block = f"{part}_block.{level}"
        else:
            block = f"conv_block_{part[:3]}.{level}" + (f".{layer - 1}" if int(level) > 1 else "")
        names[ours] = f"{block}.{within}.{tensor}"
    return names


def _attention(net: SegNet, task: str, number: int) -> dict[str, str]:
    """{our name: their name} of the attention of a task, which has this number in the file; empty for SegNet."""
    start = f"attention.{task}."
    places = {ours: ours.removeprefix(start).split(".", 1) for ours in net.state_dict() if ours.startswith(start)}
    return {ours: f"{part}_att.{number}.{place}" for ours, (part, place) in places.items()}


def _own(net: SegNet, state: Mapping[str, Tensor], heads: Mapping[str, str], path: Path) -> dict[str, str]:
    """{our name: their name} of heads and attention."""
    for task in heads:
        if task not in net.heads:
            raise UserError(f"heads: expected tasks among {', '.join(net.heads)}, found `{task}`")
    names: dict[str, str] = {}
    for task in net.heads:
        head = heads.get(task, task)
        candidates: tuple[str, ...] = _HEADS.get(head, ())
        unnamed = [name for name in _ONLY_HEADS if f"{name}.0.weight" in state]
        if len(net.heads) == 1 and unnamed:
            candidates = tuple(unnamed)
        elif not candidates:
            raise UserError(
                f"heads: expected for task `{task}` one of the authors' heads {', '.join(_HEADS)}, found `{head}`; "
                f"name it with heads={{'{task}': ...}}"
            )
        name = next((name for name in candidates if f"{name}.0.weight" in state), None)
        if name is None:
            raise UserError(
                f"{path}: expected a head for task `{task}`, found no {' and no '.join(f'`{x}`' for x in candidates)}; "
                "take another checkpoint or a network without the task"
            )
        names |= {f"heads.{task}.{x}": f"{name}.{x}" for x in _IN_A_HEAD}
        names |= _attention(net, task, 0 if name in _ONLY_HEADS else list(_HEADS).index(head))
    return names


def _check_names(net: SegNet, shared: list[str], state: Mapping[str, Tensor], path: Path) -> None:
    kind = type(net).__name__
    other = "other kinds of network do not fit"
    if not isinstance(net, MTAN):
        other = f"build the network with the file's `variant`; {other}"
    for name in shared:
        if name not in state:
            raise UserError(f"{path}: expected the tensors of the authors' {kind}, found no `{name}`; {other}")
    attention = (_attention(net, next(iter(net.heads)), number).values() for number in range(len(_HEADS)))
    names = {*shared, *_IN_ANY_HEAD, *chain.from_iterable(attention)}
    for name in state:
        if name not in names and not name.startswith("logsigma"):
            raise UserError(f"{path}: expected the tensors of the authors' {kind}, found also `{name}`; {other}")


def _check_shapes(net: SegNet, expected: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path) -> None:
    for name, tensor in expected.items():
        if name not in state:
            raise UserError(f"{path}: expected all tensors of its tasks, found no `{name}`; download it again")
        shape = tuple(state[name].shape)
        if shape == tensor.shape:
            continue
        if "pred_task" in name and ".1." in name:
            advice = f"give the task {shape[0] if shape else 1} channels or another head"
        else:
            size = "" if isinstance(net, MTAN) else "`variant` and "
            advice = f"build the network with the file's {size}numbers of filters"
        raise UserError(f"{path}: expected `{name}` of shape {tuple(tensor.shape)}, found {shape}; {advice}")


class _Ignored:
    """Stands for a numpy scalar or its dtype, so that no code of numpy runs on the content of the file."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file under the authors' names, without the prefixes of wrappers."""
    if not path.is_file():
        raise UserError(f"{path}: expected a checkpoint of the authors, found no such file; check the path")
    state = read_state_dict(path, [(_Ignored, name) for name in _NUMPY])
    return {name.removeprefix("module.").removeprefix("backbone."): tensor for name, tensor in state.items()}
