"""The paper's term: sum_t lambda_t sum_k d(A_t^k(phi^k(x)), phi_t^k(x))."""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, cast

import torch
from torch import Tensor, nn

from tutelage.distill.adaptors import Adaptor, Conv1x1
from tutelage.distill.distances import Distance, NormalisedL2
from tutelage.distill.dropping import teacher_factors
from tutelage.distill.health import matrices, norm_and_rank, similarity
from tutelage.distill.links import Link, build_links, links_by_term, resolve_matches
from tutelage.distill.match import Match
from tutelage.distill.means import Means
from tutelage.distill.schedule import Schedule, factor
from tutelage.distill.tap_modules import get_module, put_module
from tutelage.distill.taps import Taps, network_taps, read_tap
from tutelage.distill.teachers import PhiS, Reading, Standardise, Teacher, Teachers, check_tasks, resize
from tutelage.errors import UserError
from tutelage.types import Batch, Distiller, MultiTaskNet, Output, Task, Teach, Term, TermMap


class FeatureDistiller(Distiller):
    """Pulls the student's features, adapted for each teacher, towards those of that teacher (paper, section 2).

    b s sum_t lambda_t sum_k w_t^k d_t^k(A_t^k(phi^k(x)), phi_t^k'(x))

    where phi^k(x) is the student's feature at tap k, phi_t^k'(x) the feature of teacher t at the tap k' matched to k,
    without gradient, A_t^k the adaptor, d_t^k the distance and b the schedule. In the paper every task has one teacher,
    which is named after it, the distance is the same for all pairs of taps, and w_t^k = 1; a `TapMatch` in `match` says
    where they differ. Every teacher sees every image, since it needs no label, unless `teach` is `own`.

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
            bottleneck, last: last}; `url`: {bottleneck: last, last: last}. A `TapMatch` in place of the teacher's tap
            gives this pair an adaptor, a distance or a weight w_t^k of its own.
        weights: lambda_t by the teacher's name, 1 for a teacher that is not named.
        adaptor: Makes A_t^k from the channels of the student's and the teacher's feature, for the pairs without one of
            their own.
        distance: d, for the pairs without one of their own; None: `NormalisedL2()`, that of `kd4mtl`.
        scale: s, one factor of all lambda_t.
        taps: The student's taps of `match` that are used; None: all.
        teach: Which images a teacher sees: `all`, or its `own`, those with a label of one of its tasks.
        schedule: b over the run: `constant`, or falling to 0 in a line (`linear`) or half a `cosine`.
        standardise: Bring the teachers' features to mean 0 and variance 1 by channel (`Standardise`), or, with `phi-s`,
            by a rotation and one scale (`PhiS`), with statistics that are estimated once on some of the images that
            each teacher sees.
        only: The names of the teachers that are distilled from; None: all.
        drop: The probability that an image is not taught by a teacher in a step, unless it is the one with the largest
            lambda_t sum_k w_t^k d_t^k for that image (`keep_teachers`).

    Raises:
        ValueError: If `match` is empty or names a tap that a network lacks, `weights` or `only` names no teacher, a
            weight or the scale is negative or not finite, `drop` is not within 0 and 1, a teacher without tasks is
            matched to a tap with one feature per task or would see its `own` images; in `setup`, if a teacher has a
            task that the student lacks.
    """

    def __init__(
        self,
        student: MultiTaskNet,
        teachers: Mapping[str, Teacher | MultiTaskNet],
        example: Tensor,
        match: Match,
        weights: dict[str, float] | None = None,
        adaptor: Callable[[int, int], Adaptor] = Conv1x1,
        distance: Distance | None = None,
        scale: float = 1.0,
        taps: list[str] | None = None,
        teach: Teach = "all",
        schedule: Schedule = "constant",
        standardise: bool | Literal["phi-s"] = False,
        only: list[str] | None = None,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        owner = type(self).__name__
        if not 0 <= drop <= 1:
            raise UserError(f"{owner}.drop: expected a probability, from 0 to 1, found {drop}")
        self.teachers = Teachers(teachers, teach, only, owner)
        self.teach = self.teachers.teach
        self.weights = self.teachers.lambdas(weights, scale)
        self.distance = distance if distance is not None else NormalisedL2()
        self.own_distances = nn.ModuleDict()  # term -> student's tap -> its distance, if it has one of its own
        self.adaptors = nn.ModuleDict()  # term -> student's tap -> adaptor
        self.drop, self._statistics_class = drop, PhiS if standardise == "phi-s" else Standardise
        self.standardise = nn.ModuleDict() if standardise else None  # term -> teacher's tap -> its statistics
        self.schedule: Schedule = schedule
        self.links: dict[str, list[Link]] = {}  # by teacher
        self._factor, self._means = 1.0, Means()
        self._observed, self._seen = False, dict[str, Tensor]()

        student_taps = network_taps(student, example)
        for name, matches in resolve_matches(self.teachers.named, match, taps, owner).items():
            teacher, taught = self.teachers.named[name], self.teachers(example, name)
            self.links[name] = build_links(teacher, matches, student_taps, taught, owner)
            read = [match.tap for match in matches.values()]
            self.teachers.passes.request(teacher.network, read, size=teacher.size)
            for link in self.links[name]:
                self._create(link, adaptor, student_taps, taught)

    def _create(self, link: Link, adaptor: Callable[[int, int], Adaptor], student: Taps, taught: Taps) -> None:
        """The adaptor of a link, its own distance, and the statistics of its teacher's feature."""
        channels = read_tap(student, link.tap, link.task).shape[1]
        taught_channels = read_tap(taught, link.teacher_tap, link.task).shape[1]
        put_module(self.adaptors, link.term, link.tap, (link.match.adaptor or adaptor)(channels, taught_channels))
        if link.match.distance is not None:
            put_module(self.own_distances, link.term, link.tap, link.match.distance)
        if self.standardise is not None:
            put_module(self.standardise, link.term, link.teacher_tap, self._statistics_class(taught_channels))

    def setup(self, tasks: Mapping[str, Task]) -> None:
        """Check that the teachers' tasks are the student's."""
        check_tasks(self.teachers.named, tasks)

    @torch.no_grad()
    def calibrate(self, images: Callable[[tuple[str, ...] | None], Iterable[Tensor]]) -> None:
        """Estimate the statistics of the teachers' features, where they are standardised.

        Teachers that see the same images share one pass through them, in which each network runs once per batch.
        """
        if self.standardise is None:
            return
        features: dict[tuple[str, ...] | None, dict[MultiTaskNet, dict[Standardise | PhiS, Link]]] = {}
        for name, links in self.links.items():
            networks = features.setdefault(self.teachers.labels(name), {})
            of_network = networks.setdefault(self.teachers.networks[name], {})
            of_network |= {self._statistics(link): link for link in links}
        for labels, networks in features.items():
            for batch in images(labels):
                for network, of_network in networks.items():
                    taps = network(resize(batch, self.teachers.passes.size(network)), tasks=()).taps
                    for statistics, link in of_network.items():
                        statistics.add(read_tap(taps, link.teacher_tap, link.task))
        for links in self.links.values():
            for statistics in {self._statistics(link) for link in links}:
                statistics.finish()

    def begin_step(self, progress: float, observed: bool) -> None:
        """Set b; look at the teachers' features in an observed step."""
        self._factor = factor(self.schedule, progress)
        self._observed, self._means = observed, Means()
        if observed:
            self._seen = {}

    def teaches(self) -> dict[str, tuple[str, ...]]:
        """The tasks of each term: its teacher's, or the one of `teacher/task`."""
        return {
            link.term: self.teachers.named[link.teacher].tasks if link.task is None else (link.task,)
            for links in self.links.values()
            for link in links
        }

    def counts(self, batch: Batch) -> dict[str, int]:
        """The images that the teacher of each term sees."""
        images = self.teachers.counts(batch)
        return {link.term: images[name] for name, links in self.links.items() for link in links}

    def forward(self, batch: Batch, output: Output) -> TermMap:
        """{term: (sum over images of b lambda_t sum_k w_t^k d_t^k, number of images)}; the sums are fp32."""
        terms, distances, seen = TermMap(), dict[str, dict[str, Tensor]](), dict[str, Tensor | None]()
        images = self.teachers.counts(batch)
        with self.teachers.passes.batch():
            for name in (name for name, count in images.items() if count):
                reading = self.teachers.read(batch, name)
                seen[name] = reading.indices
                distances[name] = {
                    term: torch.stack([self._measure(link, output.taps, reading) for link in links])  # [taps, images]
                    for term, links in links_by_term(self.links[name]).items()
                }
        factors = self._factors(distances, seen, len(batch.images)) if self.drop and distances else {}
        for name, by_term in distances.items():
            for term, d in by_term.items():
                total = (d * factors[name] if factors else d).sum()
                count = torch.full((), images[name], device=batch.images.device)
                terms[term] = Term(self._factor * self.weights[name] * total, count)
        return terms

    def _factors(
        self, distances: Mapping[str, Mapping[str, Tensor]], seen: Mapping[str, Tensor | None], images: int
    ) -> dict[str, Tensor]:
        """What each teacher's distances are multiplied by, for the images that it sees: 0 where it is dropped."""
        totals = {
            name: self.weights[name] * torch.stack([d.detach().sum(0) for d in by_term.values()]).sum(0)
            for name, by_term in distances.items()
        }
        return teacher_factors(totals, seen, images, self.drop)

    def _measure(self, link: Link, student: Taps, reading: Reading) -> Tensor:
        """w_t^k d_t^k(A_t^k(phi^k(x)), phi_t^k'(x)) for each image that the teacher sees, [B]."""
        phi = reading.select(read_tap(student, link.tap, link.task))
        phi_t = read_tap(reading.output.taps, link.teacher_tap, link.task)
        if self._observed:
            self._seen[f"dead/{link.name}"] = (phi_t == 0).all(1).float().mean()
            self._seen[f"cka/{link.name}"] = similarity(phi, phi_t)
        if self.standardise is not None:
            phi_t = self._statistics(link)(phi_t)
        adapted = get_module(self.adaptors, link.term, link.tap)(phi, phi_t.shape[2:])
        distance = self.distance if link.match.distance is None else link.match.distance
        d: Tensor = distance(adapted, phi_t)
        self._means.add(link.name, d)
        return link.match.weight * d

    def distances(self) -> dict[str, Tensor]:
        """{"term/student's tap": d without b, lambda and w, the mean over the images since `begin_step`}."""
        return self._means.read()

    @torch.no_grad()
    def health(self) -> dict[str, Tensor]:
        """Of the last observed step, by term and student's tap.

        `dead`: the share of the teacher's positions that are zero in all channels, where a distance means nothing.
        `cka`: how alike the student's feature and the teacher's are before the adaptor (`similarity`).
        `norm` and `rank`: the Frobenius norm and the effective rank (`norm_and_rank`) of the adaptor's weight matrix;
        the matrices of an adaptor with several are numbered, `norm/TERM/TAP/0`, in the order in which they are applied.
        """
        values = dict(self._seen)
        for term, taps in self.adaptors.items():
            for k, adaptor in cast(nn.ModuleDict, taps).items():
                for end, weight in matrices(adaptor):
                    values[f"norm/{term}/{k}{end}"], values[f"rank/{term}/{k}{end}"] = norm_and_rank(weight)
        return values

    def _statistics(self, link: Link) -> Standardise | PhiS:
        assert self.standardise is not None
        return cast(Standardise | PhiS, get_module(self.standardise, link.term, link.teacher_tap))
