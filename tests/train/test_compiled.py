"""`train.compile`: what it changes (rounding and time), and where it does not apply."""

import shutil
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.train.fixture import TASKS, KillAt, Killed, Net, Run, assert_same
from torch import Tensor, nn
from torch._dynamo.backends.common import aot_autograd

from tutelage.balance import Aggregator, Uniform
from tutelage.errors import UserError
from tutelage.nets import TappedModule
from tutelage.train import Optim, TrainConfig, compiled
from tutelage.train.compiled import CompiledForward
from tutelage.types import Balancer, Output

CONFIG = TrainConfig(
    batch_size=4,
    max_steps=2,
    observe_steps=1,  # the conflict of gradients walks the graph once per task
    ema=0.5,
    student=Optim(lambda p: torch.optim.SGD(p, lr=0.1)),
    compile=True,
)
_compile = torch.compile


class Fixture:
    """A run whose forward draws random numbers and writes buffers."""

    def __init__(
        self, config: TrainConfig = CONFIG, balancer: type[Balancer] = Uniform, distill: bool = True, size: int = 4
    ) -> None:
        self.setup = Run(config, balancer, distill, net={"dropout": 0.3, "norm": True})
        self.run, self.size = self.setup.build(), size
        self.notes: list[str] = []
        self.works: list[bool] = []  # whether a kind of call is compiled

    def train(self, **kwargs: object) -> "Fixture":
        run = self.run
        networks: list[nn.Module] = [run.student]
        networks += run.distiller.teachers.networks.values() if run.distiller is not None else []
        with compiled(run, self.setup.config, [self.size], TASKS, self.notes.append):
            self.setup.fit(run, **kwargs)
            forwards = [vars(network).get("forward") for network in networks]
            assert not any("forward" in vars(network) for network in run.average.modules())
        self.works = [works for x in forwards if isinstance(x, CompiledForward) for works in x._works.values()]
        assert not any("forward" in vars(network) for network in networks)
        return self

    def gradients(self) -> Tensor:
        return torch.cat([p.grad.flatten() for p in self.run.student.parameters()])


def eager(**changes: Any) -> Fixture:
    return Fixture(replace(CONFIG, compile=False), **changes).train()


def with_backend(monkeypatch: pytest.MonkeyPatch, backend: str | Callable) -> None:
    """Compile with something that is faster than inductor, or fails."""
    monkeypatch.setattr(torch, "compile", lambda forward, dynamic, options: _compile(forward, backend=backend))


@pytest.mark.skipif(shutil.which("g++") is None, reason="without a C++ compiler torch compiles nothing on a CPU")
def test_a_compiled_student_learns_the_same_up_to_rounding(tmp_path: Path) -> None:
    run, expected = Fixture(distill=False).train(), eager(distill=False)
    assert run.works == [True]
    assert run.notes == []
    difference = run.gradients() - expected.gradients()
    assert 0 < difference.norm() < 1e-4 * expected.gradients().norm()  # 0: it was not compiled
    states = run.run.state_dict(), expected.run.state_dict()
    for name in ("student", "average"):
        assert list(states[0][name]) == list(states[1][name])
        for key, value in states[1][name].items():
            torch.testing.assert_close(states[0][name][key], value, rtol=1e-4, atol=1e-5)

    checkpoint, config = tmp_path / "checkpoint.pt", replace(CONFIG, checkpoint_steps=1)
    with pytest.raises(Killed):
        Fixture(config, distill=False).train(checkpoint=checkpoint, observer=KillAt(2))
    resumed = Fixture(config, distill=False)
    resumed.run.resume(checkpoint)
    assert_same(resumed.train().run.state_dict(), run.run.state_dict())


def test_teachers_are_compiled_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with_backend(monkeypatch, "aot_eager")
    run, expected = Fixture().train(), eager()
    assert run.works == [True, True, True]
    torch.testing.assert_close(run.gradients(), expected.gradients(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("where", ["frontend", "forward", "backward", "compiler"])
def test_what_cannot_be_compiled_is_trained_as_it_is(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no such\ninstruction")

    def pass_on(graph: Any, inputs: object) -> Any:
        return graph.forward

    if where == "compiler":
        monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("no-such-compiler",))
        monkeypatch.setattr(torch._inductor.config, "fx_graph_cache", False)
        monkeypatch.setattr(torch._functorch.config, "enable_autograd_cache", False)
    elif where == "frontend":
        with_backend(monkeypatch, fail)
    else:
        part = {"forward": {"fw_compiler": fail}, "backward": {"fw_compiler": pass_on, "bw_compiler": fail}}[where]
        with_backend(monkeypatch, aot_autograd(**part))
    distill = where == "forward"
    run, expected = Fixture(distill=distill).train(), eager(distill=distill)
    assert_same(run.run.state_dict(), expected.run.state_dict())  # also random numbers, and statistics of batch norm
    reason = "InvalidCxxCompiler: No working C++ compiler" if where == "compiler" else "RuntimeError: no such instr"
    labels = ["student", *(["teacher segmentation", "teacher depth"] if distill else [])]
    assert [note.split(f" runs uncompiled, since it cannot be compiled here: {reason}")[0] for note in run.notes] == [
        f"train.compile: the {label}" for label in labels
    ]
    assert not any(run.works)


def test_a_balancer_that_looks_into_the_student_trains_it_as_it_is() -> None:
    class MGDA(Aggregator):
        def __init__(self) -> None:
            super().__init__("MGDA")

    run = Fixture(balancer=MGDA).train()
    assert run.works == []
    assert run.notes == [
        "train.compile: MGDA takes gradients inside the student, which a compiled one does not show; the run is not "
        "compiled"
    ]
    assert_same(run.run.state_dict(), eager(balancer=MGDA).run.state_dict())


def test_batches_of_other_sizes_or_without_a_task_run_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, object]] = []

    def recording(forward: Callable[..., Output], **_: object) -> Callable[..., Output]:
        def call(images: Tensor, tasks: Collection[str] | None) -> Output:
            calls.append((len(images), tasks))
            return forward(images, tasks)

        return call

    monkeypatch.setattr(torch, "compile", recording)
    net, notes = Net({"segmentation": 4, "depth": 1}), list[str]()
    forward = CompiledForward(net, "student", [4], net.heads, notes.append)
    for size, tasks in ((4, {"depth": 0, "segmentation": 1}), (3, ["segmentation", "depth"])):
        assert list(forward(torch.rand(size, 3, 8, 12), tasks).predictions) == list(tasks)
    assert notes == []
    for missing in (["depth"], None):
        forward(torch.rand(4, 3, 8, 12), missing)
    assert calls == [(4, ("depth", "segmentation"))]
    assert notes == [
        "train.compile: the student runs uncompiled where a batch has no label of some task, or predictions without "
        "labels are distilled"
    ]


def test_a_module_of_another_library_keeps_its_taps(monkeypatch: pytest.MonkeyPatch) -> None:
    with_backend(monkeypatch, "aot_eager")
    inside = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
    net, notes = TappedModule({"depth": 1}, inside, {"first": "0", "last": "2"}, heads="last"), list[str]()
    forward = CompiledForward(net, "student", [2], ["depth"], notes.append)
    images = torch.rand(2, 3, 8, 12)
    output, expected = forward(images, ["depth"]), net(images, ["depth"])
    gradients = [
        torch.autograd.grad(x.predictions["depth"].square().mean() + x.taps["first"].mean(), list(net.parameters()))
        for x in (output, expected)
    ]
    torch.testing.assert_close(*gradients)
    for one, other in ((output.taps, expected.taps), (output.predictions, expected.predictions)):
        torch.testing.assert_close(one, other)
    assert (list(forward._works.values()), notes) == ([True], [])
    assert not any(part._forward_hooks for part in net.modules())
    torch.compiler.reset()


def test_errors_of_a_network_stay_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    class Strict(Net):
        def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
            if images.shape[2] < 32:
                raise UserError("expected larger images")
            return super().forward(images, tasks)

    with_backend(monkeypatch, "eager")
    forward = CompiledForward(Strict({"depth": 1}), "student", [2], ["depth"], [].append)
    with pytest.raises(UserError, match="expected larger images"):
        forward(torch.rand(2, 3, 8, 12), ["depth"])
    torch.compiler.reset()


@pytest.mark.parametrize("name", ["official_quirks", "deterministic"])
def test_what_it_does_not_fit_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=rf"train\.compile: expected false with {name}, found true"):
        TrainConfig(compile=True, **{name: True})
