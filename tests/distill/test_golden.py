"""The distances of `kd4mtl` between the authors' student and teachers."""

import pytest
import torch
from tests.reference import golden

from tutelage.distill import FeatureDistiller, NormalisedL2
from tutelage.types import Batch


def test_the_authors_distances() -> None:
    student = golden.segnet(golden.STUDENT)
    teachers = {t: golden.segnet(offset, t) for t, offset in golden.TEACHERS.items()}
    batch = Batch(golden.images(), {}, torch.arange(2))
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
    for t, figures in golden.DISTANCES.items():
        assert [float(distances[f"{t}/{tap}"]) for tap in ("bottleneck", "last")] == pytest.approx(figures, rel=1e-3)
        assert float(terms[t].mean()) == pytest.approx(sum(figures), rel=1e-3)
    # No position of the student is dead, as the figures of the authors' code say.
    assert all(float(f.abs().sum(1).min()) > 0 for f in output.taps.values())
