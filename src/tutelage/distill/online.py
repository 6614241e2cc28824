"""Teachers that are trained at the same time as the student."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from tutelage.distill.adaptors import Adaptor, Identity
from tutelage.distill.distances.base import fp32
from tutelage.distill.means import Means
from tutelage.distill.tap_modules import get_module, key, put_module
from tutelage.distill.taps import network_taps, read_tap
from tutelage.distill.teachers import Teacher, check_set_up, check_tasks, named_teachers
from tutelage.errors import UserError
from tutelage.types import Batch, Distiller, MultiTaskNet, Output, Task, Term, TermMap, task_loss

FEATURES = "features"  # the key of the term that pulls the student towards all networks together


class OnlineDistiller(Distiller):
    """Adaptive feature distillation from networks that learn beside the student (OKD-MTL, Jacob et al., WACV 2023).

    sum_t l_t(y_hat_t^own, y_t) + s sum_k mean over positions p of
        || n(A^k(phi^k)_p) - sum_t sigma_t^k n(phi_t^k)_p ||^2,   n(x) = x / sqrt(|x|^2 + 1e-6)

    where the networks of the first sum, one per task, get no gradient from the second, phi_t^k are their features, and
    sigma_t^k, one number per network and tap, is learnt: which layers a task has a say in. Every network trains as the
    student does, on the same images; nothing of them is needed before, and nothing is kept after training. With the
    balancer `OnlineWeighting` the tasks' losses are weighted by how far the student is behind each network.

    Terms: `features`, which counts for all tasks, and `loss/NAME/TASK`, the loss of a network. The latter are added as
    they are, whatever the balancer. A tap with one feature per task has a sigma and an adaptor per task.

    Source: Jacob, Agarwal and Stenger, "Online Knowledge Distillation for Multi-task Learning", WACV 2023; read:
    abstract and the authors' script. Differs from the script: all matched taps count, where it keeps the last of its 12
    layers; the networks train to the end, where it stops them after a third of the run; `warmup` is a part of the run,
    in which the networks train and the distance does not count, where it trains them for 5 epochs before the student;
    there is an adaptor where the student's channels or resolution differ, or if one is given.

    Args:
        student: The network to teach.
        teachers: The networks by name, in place of teachers that are trained before; give them untrained.
        example: Images [B, 3, H, W] of any content.
        match: {student's tap: tap of the networks}.
        scale: s.
        adaptor: Makes A^k; the paper has none.
        warmup: The part of the run, in [0, 1), before the distance counts.
        only: The names of the networks that are used; None: all.

    Raises:
        ValueError: If a network has no task, a tap is missing, the networks' features at a tap differ in shape, or a
            number is out of its range.
    """

    def __init__(
        self,
        student: MultiTaskNet,
        teachers: Mapping[str, Teacher | MultiTaskNet],
        example: Tensor,
        match: dict[str, str],
        scale: float = 1.0,
        adaptor: Callable[[int, int], Adaptor] = Identity,
        warmup: float = 0.02,
        only: list[str] | None = None,
    ) -> None:
        super().__init__()
        owner = type(self).__name__
        if not 0 <= warmup < 1 or not 0 <= scale < torch.inf:
            raise UserError(f"{owner}: expected scale >= 0 and 0 <= warmup < 1, found {scale} and {warmup}")
        self.named = named_teachers(teachers, only, owner)
        for name, teacher in self.named.items():
            if not teacher.tasks:
                raise UserError(
                    f"{owner}: expected networks with tasks, on which they are trained, found `{name}` without; name "
                    "the others in `only`"
                )
        self.online = nn.ModuleDict({name: teacher.network for name, teacher in self.named.items()})
        self.match, self.scale, self.warmup = dict(match), scale, warmup
        self.sigma = nn.ModuleDict()  # tap -> network's name -> sigma_t^k
        self.adaptors = nn.ModuleDict()  # task or `features` -> tap -> adaptor
        self.tasks: dict[str, Task] = {}
        self._counts, self._means = False, Means()

        own = network_taps(student, example)
        theirs = {name: network_taps(teacher.network, example) for name, teacher in self.named.items()}
        for network in self.online.values():
            network.requires_grad_(True)
        for k, tap in self.match.items():
            for what, taps, wanted in (("the student", own, k), *((f"`{n}`", x, tap) for n, x in theirs.items())):
                if wanted not in taps:
                    found = ", ".join(taps)
                    raise UserError(f"{owner}.match: expected taps of {what} ({found}), found `{wanted}`")
            self.sigma[key(k)] = nn.ParameterDict({name: nn.Parameter(torch.rand(())) for name in self.named})
            for task, names in self._groups(own[k]).items():
                shapes = {name: read_tap(theirs[name], tap, task or self.named[name].tasks[0]).shape for name in names}
                if len(set(shapes.values())) != 1:
                    found = ", ".join(f"{tuple(shape)} of `{name}`" for name, shape in shapes.items()) or "none"
                    raise UserError(
                        f"{owner}.match.{k}: expected features of one shape, which are added, found {found}; match "
                        "another tap, or give all tasks the same network"
                    )
                channels = read_tap(own, k, task).shape[1], next(iter(shapes.values()))[1]
                put_module(self.adaptors, task or FEATURES, k, adaptor(*channels))

    def _groups(self, tap: Tensor | dict[str, Tensor]) -> dict[str | None, list[str]]:
        """The networks that a feature of the student is compared with: all, or those of its own task."""
        if isinstance(tap, dict):
            return {t: [name for name, teacher in self.named.items() if t in teacher.tasks] for t in tap}
        return {None: list(self.named)}

    def networks(self) -> list[nn.Module]:
        """The networks that learn beside the student, each once."""
        return list(dict.fromkeys(self.online.values()))

    def references(self) -> dict[str, str]:
        """{task: the key of the loss of its network}, the first one's of several."""
        return {t: f"loss/{name}/{t}" for name, teacher in reversed(self.named.items()) for t in teacher.tasks}

    def setup(self, tasks: Mapping[str, Task]) -> None:
        """Keep the tasks, whose losses are used."""
        check_tasks(self.named, tasks)
        self.tasks = dict(tasks)

    def begin_step(self, progress: float, observed: bool) -> None:
        """Learn whether the distance counts."""
        self._counts, self._means = progress >= self.warmup, Means()

    def teaches(self) -> dict[str, tuple[str, ...]]:
        """All tasks of `features`; its own of a network's loss."""
        losses = {f"loss/{name}/{t}": (t,) for name, teacher in self.named.items() for t in teacher.tasks}
        return {FEATURES: tuple(dict.fromkeys(t for of in losses.values() for t in of)), **losses}

    def counts(self, batch: Batch) -> dict[str, int]:
        """All images of `features`; what its loss is divided by, of a network."""
        losses = {
            f"loss/{name}/{t}": int(batch.counts[t])
            for name, teacher in self.named.items()
            for t in teacher.tasks
            if t in batch.targets
        }
        return {FEATURES: len(batch.images), **losses}

    def forward(self, batch: Batch, output: Output) -> TermMap:
        """{`features`: (sum over images, their number), `loss/NAME/TASK`: (sum of the loss, its count)}."""
        terms, outputs = TermMap(), dict[str, Output]()
        ran: dict[nn.Module, Output] = {}  # several names may have one network
        for name, teacher in self.named.items():
            check_set_up(self, self.tasks, teacher.tasks)
            if teacher.network not in ran:
                ran[teacher.network] = teacher.network(batch.shown, tasks=self._labelled(teacher.network, batch))
            outputs[name] = ran[teacher.network]
            for t in (t for t in teacher.tasks if t in batch.targets):
                terms[f"loss/{name}/{t}"] = task_loss(self.tasks[t], t, outputs[name], batch.targets[t])
        total = torch.stack([self._distance(k, output, outputs) for k in self.match]).sum(0)  # [B]
        count = torch.full((), len(batch.images), device=batch.images.device)
        terms[FEATURES] = Term((self.scale if self._counts else 0.0) * total.sum(), count)
        return terms

    def _labelled(self, network: nn.Module, batch: Batch) -> list[str]:
        """The tasks of a network with labels in a batch."""
        teachers = [teacher for teacher in self.named.values() if teacher.network is network]
        return list(dict.fromkeys(t for teacher in teachers for t in teacher.tasks if t in batch.targets))

    def _distance(self, k: str, output: Output, outputs: Mapping[str, Output]) -> Tensor:
        """At the student's tap k, for each image, [B]."""
        sigma = cast(nn.ParameterDict, self.sigma[key(k)])
        per_group = []
        with torch.autocast(self._device_type(output.taps[k]), enabled=False):
            for task, names in self._groups(output.taps[k]).items():
                features = [
                    read_tap(outputs[n].taps, self.match[k], task or self.named[n].tasks[0]).detach() for n in names
                ]
                adapted = get_module(self.adaptors, task or FEATURES, k)(
                    fp32(read_tap(output.taps, k, task)), features[0].shape[2:]
                )
                target = torch.stack([sigma[n] * unit(x) for n, x in zip(names, features, strict=True)]).sum(0)
                per_group.append((unit(adapted) - target).square().sum(1).flatten(1).mean(1))
        d = torch.stack(per_group).sum(0)
        self._means.add(f"{FEATURES}/{k}", d)
        return d

    @staticmethod
    def _device_type(tap: Tensor | dict[str, Tensor]) -> str:
        return (tap if isinstance(tap, Tensor) else next(iter(tap.values()))).device.type

    def distances(self) -> dict[str, Tensor]:
        """{"features/tap": the distance without s, the mean over the images since `begin_step`}."""
        return self._means.read()

    def health(self) -> dict[str, Tensor]:
        """`sigma/NAME/TAP` of the networks."""
        pairs: Any = ((k, cast(nn.ParameterDict, self.sigma[key(k)])) for k in self.match)
        return {f"sigma/{name}/{k}": sigma.detach() for k, of_tap in pairs for name, sigma in of_tap.items()}


def unit(x: Tensor) -> Tensor:
    """n(x), over the channels, in fp32."""
    x = fp32(x)
    return x / (x.square().sum(1, keepdim=True) + 1e-6).sqrt()
