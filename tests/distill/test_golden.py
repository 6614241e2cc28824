"""The distances of `kd4mtl` between the authors' students and teachers."""

from pathlib import Path

import pytest
import torch
from tests.reference import golden, mtan_reference
from torch import Tensor

from tutelage.distill import FeatureDistiller, NormalisedL2
from tutelage.nets import MTAN, load_authors
from tutelage.types import Batch, MultiTaskNet


def test_the_authors_distances() -> None:
    student = golden.segnet(golden.STUDENT)
    teachers = {t: golden.segnet(offset, t) for t, offset in golden.TEACHERS.items()}
    taps = assert_distances(student, teachers, golden.DISTANCES)
    # No position of the student is dead, as the figures of the authors' code say.
    assert all(float(f.abs().sum(1).min()) > 0 for f in taps.values())


def test_the_authors_distances_of_mtan(tmp_path: Path) -> None:
    """Adaptor t reads the feature of the student's branch t."""

    def load(net: MTAN, state: dict[str, Tensor]) -> MTAN:
        path = tmp_path / "x"
        torch.save(state, path)
        load_authors(net.eval(), path)
        path.unlink()
        return net

    widths = {t: task.width for t, task in golden.TASKS.items()}
    student = load(MTAN(widths), mtan_reference.state(golden.STUDENT))
    teachers = {
        t: load(MTAN({t: widths[t]}), mtan_reference.state(offset, [widths[t]]))
        for t, offset in golden.TEACHERS.items()
    }
    assert_distances(student, teachers, mtan_reference.DISTANCES)


def assert_distances(
    student: MultiTaskNet, teachers: dict[str, MultiTaskNet], expected: dict[str, list[float]]
) -> dict[str, Tensor | dict[str, Tensor]]:
    """The figures of every task at both taps, and of its term; returns the student's taps."""
    batch = Batch(golden.images(), {})
    distiller = FeatureDistiller(
        student, teachers, batch.images[:1], {"bottleneck": "bottleneck", "last": "last"},
        distance=NormalisedL2(epsilon=1e-6, guard="add"),
    )  # fmt: skip
    with torch.no_grad():
        for number, t in enumerate(golden.TASKS):
            for tap, channels, phase in (("bottleneck", 512, 5000), ("last", 64, 5001)):
                distiller.adaptors[t][tap].conv.weight.copy_(golden.adaptor(channels, phase + 10 * number))
        output = student(batch.images)
        terms = distiller(batch, output)
    distances = distiller.distances()
    for t, figures in expected.items():
        assert [float(distances[f"{t}/{tap}"]) for tap in ("bottleneck", "last")] == pytest.approx(figures, rel=1e-3)
        assert float(terms[t].mean()) == pytest.approx(sum(figures), rel=1e-3)
    return output.taps
