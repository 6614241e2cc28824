"""The paper's term: sum_t lambda_t sum_k d(A_t^k(phi^k(x)), phi_t^k(x))."""

from collections.abc import Callable, Iterable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from tutelage.distill.adaptors import Adaptor, Conv1x1
from tutelage.distill.distances import Distance, NormalisedL2
from tutelage.distill.schedule import Schedule, factor
from tutelage.distill.standardise import Standardise
from tutelage.distill.teachers import Means, Taps, Teachers, chosen, lambdas, tap
from tutelage.errors import UserError
from tutelage.types import Batch, Distiller, MultiTaskNet, Output, Teach, Term, TermMap


class FeatureDistiller(Distiller):
    """Pulls the student's features, adapted for each task, towards those of that task's teacher (paper, section 2).

    b s sum_t lambda_t sum_k d(A_t^k(phi^k(x)), phi_t^k'(x))

    where phi^k(x) is the student's feature at tap k, phi_t^k'(x) the feature of teacher t at the tap k' matched to k,
    without gradient, A_t^k the adaptor, d the distance and b the schedule. Every task with a teacher is distilled on
    every image, since a teacher needs no label, unless `teach` is `own`. `state_dict()` holds the adaptors and the
    teachers' statistics, `parameters()` the adaptors alone, which are initialised from torch's global random numbers
    in the order of `teachers` and `match`.

    Args:
        student: The network to teach; looked at here for its taps, not kept.
        teachers: The single-task network of every task; frozen and put in eval mode here.
        example: Images [B, 3, H, W] of any content, run once through every network to learn the channels of its taps.
        match: {student's tap: teacher's tap}. `kd4mtl`: {bottleneck: bottleneck, last: last}; `url`: {bottleneck: last,
            last: last}.
        weights: lambda_t by task; a task that is not named has 1.
        adaptor: Makes A_t^k from the channels of the student's and the teacher's feature.
        distance: d; None: `NormalisedL2()`, that of `kd4mtl`.
        scale: s, one factor for all lambda_t.
        taps: The student's taps of `match` that are used; None: all.
        teach: Which images teacher t sees: `all`, or its `own`, those with a label of t.
        schedule: b over the run: `constant`, or falling to 0 in a line (`linear`) or half a `cosine`.
        standardise: Bring the teachers' features to mean 0 and variance 1 by channel, estimated once on some of the
            images that each sees.

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
        scale: float = 1.0,
        taps: list[str] | None = None,
        teach: Teach = "all",
        schedule: Schedule = "constant",
        standardise: bool = False,
    ) -> None:
        super().__init__()
        if not match:
            raise UserError("FeatureDistiller.match: expected {student's tap: teacher's tap}, found none")
        for k in taps or ():
            if k not in match:
                raise UserError(f"FeatureDistiller.taps: expected taps of `match` ({_list(match)}), found `{k}`")
        self.match = {k: k_t for k, k_t in match.items() if taps is None or k in taps}
        self.weights = lambdas("FeatureDistiller", teachers, weights, scale)
        self.teachers, self.teach = Teachers(teachers, teach), teach
        self.distance = distance if distance is not None else NormalisedL2()
        self.adaptors = nn.ModuleDict()  # task -> tap -> adaptor
        self.standardise = nn.ModuleDict() if standardise else None  # task -> the teacher's tap -> its statistics
        self.schedule: Schedule = schedule
        self._factor, self._means = 1.0, Means()
        self._observed, self._dead = False, dict[str, Tensor]()

        shown = _taps(student, example)
        for task in teachers:
            taught = self.teachers(example, task)
            adaptors = nn.ModuleDict()
            for k, k_t in self.match.items():
                _check(k, shown, "the student")
                _check(k_t, taught, f"the teacher of {task!r}")
                adaptors[_key(k)] = adaptor(tap(shown, k, task).shape[1], taught[k_t].shape[1])
            self.adaptors[_key(task)] = adaptors
            if self.standardise is not None:
                used = {_key(k_t): Standardise(taught[k_t].shape[1]) for k_t in self.match.values()}
                self.standardise[_key(task)] = nn.ModuleDict(used)

    def calibrate(self, images: Callable[[str], Iterable[Tensor]]) -> None:
        """Estimate the statistics of the teachers' features, where they are standardised."""
        for t in self.teachers.tasks if self.standardise is not None else ():
            batches = list(images(t))
            for k_t in set(self.match.values()):
                statistics = self._statistics(t, k_t)
                statistics.estimate(self.teachers(batch, t)[k_t] for batch in batches)

    def begin_step(self, progress: float, observed: bool) -> None:
        """Set b; look at the teachers' features in an observed step."""
        self._factor = factor(self.schedule, progress)
        self._observed, self._means = observed, Means()

    def counts(self, batch: Batch) -> dict[str, int]:
        """The images that each task's teacher sees."""
        return self.teachers.counts(batch)

    def forward(self, batch: Batch, output: Output) -> TermMap:
        """{task: (sum over images of b lambda_t sum_k d, number of images)}; the sums are fp32."""
        terms = TermMap()
        for t, images in self.counts(batch).items():
            if not images:
                continue
            seen = self.teachers.images(batch, t)
            phi_t = self.teachers(chosen(batch.images, seen), t)
            d = {
                k: self._distance(t, k, chosen(tap(output.taps, k, t), seen), self._standardised(t, k_t, phi_t[k_t]))
                for k, k_t in self.match.items()
            }  # [B]
            weight = self._factor * self.weights[t]
            count = torch.full((), images, device=batch.images.device)
            terms[t] = Term(weight * torch.stack(list(d.values())).sum(), count)
            for k, d_k in d.items():
                self._means.add(f"{t}/{k}", d_k)
            if self._observed:
                self._dead |= {f"{t}/{k}": (phi_t[k_t] == 0).all(1).float().mean() for k, k_t in self.match.items()}
        return terms

    def distances(self) -> dict[str, Tensor]:
        """{"task/student's tap": d without b and lambda, the mean over the images since `begin_step`}."""
        return self._means.read()

    @torch.no_grad()
    def health(self) -> dict[str, Tensor]:
        """Of the last observed step, by task and student's tap.

        `dead`: the part of the teacher's positions that are zero in all channels, where a distance means nothing.
        `norm`: the Frobenius norm of each weight matrix of the adaptor. `rank`: its effective rank, exp(- sum_i p_i log
        p_i) for singular values p normalised to sum 1 (Roy and Vetterli, EUSIPCO 2007): how many directions it uses.
        """
        found = {f"dead/{name}": value for name, value in self._dead.items()}
        for task, taps in self.adaptors.items():
            for k, adaptor in cast(nn.ModuleDict, taps).items():
                for weight in (p.detach().float() for p in adaptor.parameters() if p.ndim > 1):
                    sound = bool(weight.isfinite().all())  # a decomposition of anything else raises
                    values = torch.linalg.svdvals(weight.flatten(1)) if sound else weight.new_full((1,), torch.nan)
                    found[f"norm/{task}/{k}"] = values.norm()
                    found[f"rank/{task}/{k}"] = torch.special.entr(values / values.sum().clamp(min=1e-12)).sum().exp()
        return found

    def _distance(self, task: str, k: str, phi: Tensor, phi_t: Tensor) -> Tensor:
        """d(A_t^k(phi^k(x)), phi_t^k'(x)) for each image, [B]."""
        adaptor = cast(nn.ModuleDict, self.adaptors[_key(task)])[_key(k)]
        d: Tensor = self.distance(adaptor(phi, phi_t.shape[2:]), phi_t)
        return d

    def _statistics(self, task: str, k_t: str) -> Standardise:
        return cast(Standardise, cast(nn.ModuleDict, cast(nn.ModuleDict, self.standardise)[_key(task)])[_key(k_t)])

    def _standardised(self, task: str, k_t: str, phi_t: Tensor) -> Tensor:
        if self.standardise is None:
            return phi_t
        standardised: Tensor = self._statistics(task, k_t)(phi_t)
        return standardised


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
        raise UserError(f"FeatureDistiller.match: expected taps of {owner} ({_list(taps)}), found `{name}`")


def _list(names: Mapping[str, object]) -> str:
    return ", ".join(names) or "none"


def _key(name: str) -> str:
    """A name as a key of a ModuleDict: a tap may be a module's path, and keys have no dots."""
    return name.replace(".", "/")
