"""The paper's term: sum_t lambda_t sum_k d(A_t^k(phi^k(x)), phi_t^k(x))."""

from collections.abc import Callable, Iterable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from tutelage.distill.adaptors import Adaptor, Conv1x1
from tutelage.distill.distances import Distance, NormalisedL2
from tutelage.distill.health import matrices, norm_and_rank
from tutelage.distill.links import Link, Taps, by_term, link, matches, network_taps, read_tap
from tutelage.distill.means import Means
from tutelage.distill.schedule import Schedule, factor
from tutelage.distill.teachers import Standardise, Teacher, Teachers, check_tasks
from tutelage.distill.teachers.passes import selected
from tutelage.types import Batch, Distiller, MultiTaskNet, Output, Task, Teach, Term, TermMap


class FeatureDistiller(Distiller):
    """Pulls the student's features, adapted for each teacher, towards those of that teacher (paper, section 2).

    b s sum_t lambda_t sum_k d(A_t^k(phi^k(x)), phi_t^k'(x))

    where phi^k(x) is the student's feature at tap k, phi_t^k'(x) the feature of teacher t at the tap k' matched to k,
    without gradient, A_t^k the adaptor, d the distance and b the schedule. In the paper every task has one teacher,
    which is named after it. Every teacher sees every image, since it needs no label, unless `teach` is `own`.

    A teacher of several tasks has one adaptor per pair of taps, and one per task where a tap of either network has one
    feature per task (MTAN). The distances of a teacher form one term, under the teacher's name; those of one task of a
    teacher of several form the term `teacher/task`.

    `state_dict()` holds the adaptors and the teachers' statistics, `parameters()` the adaptors alone, which are
    initialised from torch's global random numbers in the order of `teachers` and `match`.

    Args:
        student: The network to teach; it is run here once to learn its taps, and not kept.
        teachers: The teachers by name; a network alone, under the name of a task, teaches that task. All are frozen and
            put in eval mode here.
        example: Images [B, 3, H, W] of any content, run once through every network to learn the channels of its taps.
        match: {student's tap: teacher's tap}, for the teachers without a `match` of their own. `kd4mtl`: {bottleneck:
            bottleneck, last: last}; `url`: {bottleneck: last, last: last}.
        weights: lambda_t by the teacher's name, 1 for a teacher that is not named.
        adaptor: Makes A_t^k from the channels of the student's and the teacher's feature.
        distance: d; None: `NormalisedL2()`, that of `kd4mtl`.
        scale: s, one factor of all lambda_t.
        taps: The student's taps of `match` that are used; None: all.
        teach: Which images a teacher sees: `all`, or its `own`, those with a label of one of its tasks.
        schedule: b over the run: `constant`, or falling to 0 in a line (`linear`) or half a `cosine`.
        standardise: Bring the teachers' features to mean 0 and variance 1 by channel, with statistics that are
            estimated once on some of the images that each teacher sees.
        only: The names of the teachers that are distilled from; None: all.

    Raises:
        ValueError: If `match` is empty or names a tap that a network lacks, `weights` or `only` names no teacher, a
            teacher without tasks is matched to a tap with one feature per task or would see its `own` images; in
            `setup`, if a teacher has a task that the student lacks.
    """

    def __init__(
        self,
        student: MultiTaskNet,
        teachers: Mapping[str, Teacher | MultiTaskNet],
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
        only: list[str] | None = None,
    ) -> None:
        super().__init__()
        self.teachers = Teachers(teachers, teach, only, "FeatureDistiller")
        self.teach = self.teachers.teach
        self.weights = self.teachers.lambdas("FeatureDistiller", weights, scale)
        self.distance = distance if distance is not None else NormalisedL2()
        self.adaptors = nn.ModuleDict()  # term -> student's tap -> adaptor
        self.standardise = nn.ModuleDict() if standardise else None  # term -> teacher's tap -> its statistics
        self.schedule: Schedule = schedule
        self.links: dict[str, list[Link]] = {}  # by teacher
        self._factor, self._means = 1.0, Means()
        self._observed, self._dead = False, dict[str, Tensor]()

        shown = network_taps(student, example)
        for name, matched in matches(self.teachers.named, match, taps).items():
            taught, network = self.teachers(example, name), self.teachers.networks[name]
            self.links[name] = link(self.teachers.named[name], matched, shown, taught)
            self.teachers.passes.request(network, matched.values())
            for one in self.links[name]:
                self._create(one, adaptor, read_tap(shown, one.tap, one.task).shape[1], taught)

    def _create(self, one: Link, adaptor: Callable[[int, int], Adaptor], channels: int, taught: Taps) -> None:
        """The adaptor of a link, and the statistics of its teacher's feature."""
        taught_channels = read_tap(taught, one.teacher_tap, one.task).shape[1]
        _within(self.adaptors, one.term)[_key(one.tap)] = adaptor(channels, taught_channels)
        if self.standardise is not None:
            _within(self.standardise, one.term)[_key(one.teacher_tap)] = Standardise(taught_channels)

    def setup(self, tasks: Mapping[str, Task]) -> None:
        """Check that the teachers' tasks are the student's."""
        check_tasks(self.teachers.named, tasks)

    def calibrate(self, images: Callable[[tuple[str, ...] | None], Iterable[Tensor]]) -> None:
        """Estimate the statistics of the teachers' features, where they are standardised."""
        for name, links in self.links.items() if self.standardise is not None else ():
            batches = list(images(self.teachers.labels(name)))
            for one in {(one.term, one.teacher_tap): one for one in links}.values():
                features = (read_tap(self.teachers(batch, name), one.teacher_tap, one.task) for batch in batches)
                self._statistics(one).estimate(features)

    def begin_step(self, progress: float, observed: bool) -> None:
        """Set b; look at the teachers' features in an observed step."""
        self._factor = factor(self.schedule, progress)
        self._observed, self._means = observed, Means()

    def teaches(self) -> dict[str, tuple[str, ...]]:
        """The tasks of each term: its teacher's, or the one of `teacher/task`."""
        return {
            one.term: self.teachers.named[one.teacher].tasks if one.task is None else (one.task,)
            for links in self.links.values()
            for one in links
        }

    def counts(self, batch: Batch) -> dict[str, int]:
        """The images that the teacher of each term sees."""
        images = self.teachers.counts(batch)
        return {one.term: images[name] for name, links in self.links.items() for one in links}

    def forward(self, batch: Batch, output: Output) -> TermMap:
        """{term: (sum over images of b lambda_t sum_k d, number of images)}; the sums are fp32."""
        terms = TermMap()
        images = self.teachers.counts(batch)
        with self.teachers.passes.batch():
            for name in (name for name, count in images.items() if count):
                seen = self.teachers.images(batch, name)
                taught = self.teachers.read(batch, name).taps
                for term, links in by_term(self.links[name]).items():
                    total = torch.stack([self._measure(one, output.taps, taught, seen) for one in links]).sum()
                    count = torch.full((), images[name], device=batch.images.device)
                    terms[term] = Term(self._factor * self.weights[name] * total, count)
        return terms

    def _measure(self, one: Link, student: Taps, taught: Taps, seen: Tensor | None) -> Tensor:
        """d(A_t^k(phi^k(x)), phi_t^k'(x)) for each image that the teacher sees, [B]."""
        phi = selected(read_tap(student, one.tap, one.task), seen)
        phi_t = read_tap(taught, one.teacher_tap, one.task)
        if self._observed:
            self._dead[one.name] = (phi_t == 0).all(1).float().mean()
        if self.standardise is not None:
            phi_t = self._statistics(one)(phi_t)
        adapted = _within(self.adaptors, one.term)[_key(one.tap)](phi, phi_t.shape[2:])
        d: Tensor = self.distance(adapted, phi_t)
        self._means.add(one.name, d)
        return d

    def distances(self) -> dict[str, Tensor]:
        """{"term/student's tap": d without b and lambda, the mean over the images since `begin_step`}."""
        return self._means.read()

    @torch.no_grad()
    def health(self) -> dict[str, Tensor]:
        """Of the last observed step, by term and student's tap.

        `dead`: the share of the teacher's positions that are zero in all channels, where a distance means nothing.
        `norm` and `rank`: the Frobenius norm and the effective rank (`norm_and_rank`) of the adaptor's weight matrix;
        the matrices of an adaptor with several are numbered, `norm/TERM/TAP/0`, in the order in which they are applied.
        """
        values = {f"dead/{name}": value for name, value in self._dead.items()}
        for term, taps in self.adaptors.items():
            for k, adaptor in cast(nn.ModuleDict, taps).items():
                for end, weight in matrices(adaptor):
                    values[f"norm/{term}/{k}{end}"], values[f"rank/{term}/{k}{end}"] = norm_and_rank(weight)
        return values

    def _statistics(self, one: Link) -> Standardise:
        assert self.standardise is not None
        return cast(Standardise, _within(self.standardise, one.term)[_key(one.teacher_tap)])


def _within(modules: nn.ModuleDict, term: str) -> nn.ModuleDict:
    """The modules of a term; none at first."""
    key = _key(term)
    if key not in modules:
        modules[key] = nn.ModuleDict()
    return cast(nn.ModuleDict, modules[key])


def _key(name: str) -> str:
    """A name as a key of a ModuleDict: a tap may be a module's path, and keys have no dots."""
    return name.replace(".", "/")
