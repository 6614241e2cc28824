"""What `official_quirks` does: the authors' choice of an epoch and their scheduler's early step."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.train.fixture import TASKS, Run, assert_same

from tutelage.train import EpochSelection, Optim, Optimisers, TrainConfig, Training
from tutelage.types import Term, TermMap, Terms

CONFIG = TrainConfig(epochs=4, batch_size=4, precision="32-true", channels_last=False, official_quirks=True)


def terms(task: float, distill: float = 0.0) -> Terms:
    return Terms(
        TermMap({"depth": Term(torch.tensor(task), torch.tensor(1))}),
        TermMap({"depth": Term(torch.tensor(distill), torch.tensor(1))}),
    )


@pytest.mark.parametrize(
    ("last_batch", "kept"),
    # the means of the epochs are 5, 3, 4 and the last batches 1, 2, 4
    [(False, 1), (True, 0)],
)
def test_the_epoch_with_the_lowest_training_loss_is_kept(last_batch: bool, kept: int) -> None:
    selection = EpochSelection(last_batch)
    weights = {"depth": torch.tensor(0.5)}
    for epoch, losses in enumerate(([9.0, 1.0], [4.0, 2.0], [4.0, 4.0])):
        for loss in losses:
            selection.add(terms(2 * (loss - 0.25), 0.25), weights)  # w l + lambda d
        selection.end_epoch({"w": torch.tensor(float(epoch))})
    assert selection.weights["w"] == kept
    assert selection.lowest == pytest.approx(1.0 if last_batch else 3.0)


def test_schedulers_step_one_epoch_early() -> None:
    def rates(early: bool) -> list[float]:
        optim = Optim(
            lambda p: torch.optim.SGD(p, lr=1.0), lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=2, gamma=0.5)
        )
        optimisers = Optimisers({"student": ([torch.nn.Parameter(torch.zeros(1))], optim)}, 4, 4, early=early)
        found = []
        for _ in range(4):
            found.append(optimisers.lr()["student"])
            optimisers.step()
            optimisers.end_epoch()
        return found

    assert rates(early=False) == [1, 1, 0.5, 0.5]
    assert rates(early=True) == [1, 0.5, 0.5, 0.25]


class Chosen(Run):
    def build(self) -> Training:
        run = super().build()
        run.selection = EpochSelection(last_batch=False)
        return run


def test_the_kept_weights_are_the_result_and_survive_a_resume(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    rising = replace(CONFIG, student=Optim(lambda p: torch.optim.SGD(p, lr=0.3, maximize=True)))  # every epoch is worse
    setup = Chosen(rising)
    whole = setup.fit(setup.build())
    first = setup.fit(setup.build(), replace(rising, max_steps=3))
    assert whole.selection is not None
    assert_same(dict(whole.selection.weights), dict(first.student.state_dict()))
    assert_same(dict(whole.result.state_dict()), dict(first.student.state_dict()))
    last = Run(rising).fit(Run(rising).build()).student.state_dict()
    assert not torch.equal(last["trunk.0.weight"], whole.result.state_dict()["trunk.0.weight"])

    setup.fit(setup.build(), replace(rising, max_steps=4), checkpoint=path)  # in the middle of the second epoch
    again = setup.build()
    again.resume(path)
    assert again.step == 4
    setup.fit(again)
    assert_same(dict(again.result.state_dict()), dict(first.student.state_dict()))


def test_teachers_are_in_training_mode_and_the_same_parameters() -> None:
    setup = Run(CONFIG, net={"norm": True})
    run = setup.build()
    assert run.distiller is not None
    teachers = run.distiller.teachers
    teachers.train_as_the_authors()
    nets = teachers.networks
    before = {t: {k: v.clone() for k, v in net.state_dict().items()} for t, net in nets.items()}
    setup.fit(run, replace(CONFIG, max_steps=2))
    for t in TASKS:
        after = nets[t].state_dict()
        assert nets[t].training
        for name in after:
            drifts = "running" in name or "batches" in name
            assert torch.equal(after[name], before[t][name]) != drifts, name
