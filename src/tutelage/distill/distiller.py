"""The paper's term: sum_t lambda_t sum_k d(A_t^k(phi^k(x)), phi_t^k(x))."""

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from tutelage.distill.adaptors import Adaptor, Conv1x1
from tutelage.distill.distances import Distance, NormalisedL2
from tutelage.distill.teachers import Taps, Teachers, tap
from tutelage.types import Batch, Distiller, MultiTaskNet, Output, Term, TermMap


class FeatureDistiller(Distiller):
    """Pulls the student's features, adapted for each task, towards those of that task's teacher (paper, section 2).

    sum_t lambda_t sum_k d(A_t^k(phi^k(x)), phi_t^k'(x))

    where phi^k(x) is the student's feature at tap k, phi_t^k'(x) the feature of teacher t at the tap k' matched to k,
    without gradient, A_t^k the adaptor and d the distance. Every task with a teacher is distilled on every image: a
    teacher needs no label. `state_dict()` and `parameters()` hold the adaptors alone, which are initialised from
    torch's global random numbers in the order of `teachers` and `match`.

    Args:
        student: The network to teach; looked at here for its taps, not kept.
        teachers: The single-task network of every task; frozen and put in eval mode here.
        example: Images [B, 3, H, W] of any content, run once through every network to learn the channels of its taps.
        match: {student's tap: teacher's tap}. `kd4mtl`: {bottleneck: bottleneck, last: last}; `url`: {bottleneck: last,
            last: last}.
        weights: lambda_t by task; a task that is not named has 1.
        adaptor: Makes A_t^k from the channels of the student's and the teacher's feature.
        distance: d; None: `NormalisedL2()`, that of `kd4mtl`.

    Raises:
        ValueError: Where `match` is empty or names a tap that a network lacks, or `weights` a task without teacher.
    """

    def __init__(
        self,
        student: MultiTaskNet,
        teachers: Mapping[str, MultiTaskNet],
        example: Tensor,
        match: dict[str, str],
        weights: dict[str, float] | None = None,
        adaptor: Callable[[int, int], Adaptor] = Conv1x1,
        distance: Distance | None = None,
    ) -> None:
        super().__init__()
        if not match:
            raise ValueError("FeatureDistiller.match names no tap. Expected {student's tap: teacher's tap}.")
        for task in weights or {}:
            if task not in teachers:
                raise ValueError(
                    f"FeatureDistiller.weights names the task {task!r}, which has no teacher. Found: {_list(teachers)}."
                )
        self.match = dict(match)
        self.weights = dict.fromkeys(teachers, 1.0) | (weights or {})
        self.teachers = Teachers(teachers)
        self.distance = distance if distance is not None else NormalisedL2()
        self.adaptors = nn.ModuleDict()  # task -> tap -> adaptor
        self._last: dict[str, Tensor] = {}

        taps = _taps(student, example)
        for task in teachers:
            taught = self.teachers(example, task)
            adaptors = nn.ModuleDict()
            for k, k_t in match.items():
                _check(k, taps, "the student")
                _check(k_t, taught, f"the teacher of {task!r}")
                adaptors[_key(k)] = adaptor(tap(taps, k, task).shape[1], taught[k_t].shape[1])
            self.adaptors[_key(task)] = adaptors

    def forward(self, batch: Batch, output: Output) -> TermMap:
        """{task: (sum over images of lambda_t sum_k d, number of images)}; the sums are fp32."""
        terms = TermMap()
        count = torch.full((), len(batch.images), device=batch.images.device)
        for t in self.teachers.tasks:
            phi_t = self.teachers(batch.images, t)
            d = {k: self._distance(t, k, tap(output.taps, k, t), phi_t[k_t]) for k, k_t in self.match.items()}  # [B]
            terms[t] = Term(self.weights[t] * torch.stack(list(d.values())).sum(), count)
            self._last.update({f"{t}/{k}": d_k.detach() for k, d_k in d.items()})
        return terms

    def distances(self) -> dict[str, Tensor]:
        """{"task/student's tap": d of the last batch, without lambda, detached}."""
        return {name: d.mean() for name, d in self._last.items()}

    def _distance(self, task: str, k: str, phi: Tensor, phi_t: Tensor) -> Tensor:
        """d(A_t^k(phi^k(x)), phi_t^k'(x)) for each image, [B]."""
        adaptor = cast(nn.ModuleDict, self.adaptors[_key(task)])[_key(k)]
        d: Tensor = self.distance(adaptor(phi, phi_t.shape[2:]), phi_t)
        return d


@torch.no_grad()
def _taps(net: MultiTaskNet, images: Tensor) -> Taps:
    """The taps of a network, whose modes and batch-norm statistics stay as they are."""
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        return cast(Output, net(images, tasks=())).taps
    finally:
        for module, mode in modes:
            module.training = mode


def _check(name: str, taps: Mapping[str, object], owner: str) -> None:
    if name not in taps:
        raise ValueError(f"FeatureDistiller.match names the tap {name!r}, which {owner} lacks. Found: {_list(taps)}.")


def _list(names: Mapping[str, object]) -> str:
    return ", ".join(names) or "none"


def _key(name: str) -> str:
    """A name as a key of a ModuleDict: a tap may be a module's path, and keys have no dots."""
    return name.replace(".", "/")
