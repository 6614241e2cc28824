import math

import pytest
import torch
from tests.distill import tiny
from torch import Tensor

from tutelage.balance import Uniform
from tutelage.distill import CauchySchwarz, FeatureDistiller, LogitDistiller, SumDistiller, Teacher
from tutelage.errors import UserError
from tutelage.tasks import Depth, Segmentation
from tutelage.train import objective
from tutelage.types import Batch, Distiller, MultiTaskNet, Task

TASKS: dict[str, Task] = {"colour": Segmentation(classes=3), "height": Depth()}
EXAMPLE = torch.zeros(1, 3, 4, 6)


def build(teachers: dict[str, MultiTaskNet] | None = None, **kwargs: object) -> LogitDistiller:
    distiller = LogitDistiller(tiny.student(), teachers or tiny.teachers(), EXAMPLE, **kwargs)
    distiller.setup(TASKS)
    distiller.begin_step(0.0, observed=False)
    return distiller


def slow_kl(said: Tensor, meant: Tensor, temperature: float) -> float:
    """T^2 KL(teacher || student), pixel by pixel and class by class."""
    total = 0.0
    for i in range(said.shape[0]):
        for y in range(said.shape[2]):
            for x in range(said.shape[3]):
                s, m = (z[i, :, y, x].double() / temperature for z in (said, meant))
                q, p = (z.exp() / z.exp().sum() for z in (s, m))
                total += sum(float(p[c]) * math.log(float(p[c]) / float(q[c])) for c in range(3))
    return temperature**2 * total / (said.shape[0] * said.shape[2] * said.shape[3])


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_value_is_that_of_the_formula(temperature: float) -> None:
    student, teachers, batch = tiny.student().eval(), tiny.teachers(), tiny.batch()
    distiller = build(teachers, weights={"height": 3.0}, temperature=temperature, scale=0.5)
    output = student(batch.images)
    terms = distiller(batch, output)
    said = {t: net.eval()(batch.images).predictions[t].detach() for t, net in teachers.items()}
    kl = slow_kl(output.predictions["colour"].detach(), said["colour"], temperature)
    error = float((output.predictions["height"].detach() - said["height"]).abs().mean())
    assert float(terms["colour"].mean().detach()) == pytest.approx(0.5 * kl, rel=1e-4)
    assert float(terms["height"].mean().detach()) == pytest.approx(0.5 * 3.0 * error, rel=1e-4)
    assert float(distiller.distances()["height/prediction"]) == pytest.approx(error, rel=1e-4)


def test_annealing_is_the_cross_entropy_with_the_mixed_target() -> None:
    """BAM: CE(student, a label + (1 - a) teacher) has the gradient of a CE(label) + (1 - a) KL(teacher)."""
    student, teachers, batch = tiny.student().eval(), tiny.teachers(), tiny.batch()
    progress, label = 0.3, torch.randint(0, 3, (2, 4, 6))
    batch.targets["colour"] = TASKS["colour"].collate([*label], batch.images)
    only = {"colour": teachers["colour"]}
    distiller = build(only, schedule="linear")
    balancer = Uniform(schedule="rising")
    balancer.setup(TASKS, student)
    distiller.begin_step(progress, observed=False)
    balancer.begin_step(progress)
    terms, outputs = objective([batch], student, TASKS, distiller, Uniform())
    weights = balancer.backward(terms, outputs, student, tiny.NoReduce())
    assert float(weights["colour"]) == pytest.approx(progress)
    ours = [p.grad.clone() for p in student.parameters() if p.grad is not None]

    student.zero_grad()
    mixed = progress * torch.nn.functional.one_hot(label, 3).permute(0, 3, 1, 2)
    with torch.no_grad():
        mixed = mixed + (1 - progress) * only["colour"](batch.images).predictions["colour"].softmax(1)
    torch.nn.functional.cross_entropy(student(batch.images).predictions["colour"], mixed).backward()
    theirs = [p.grad for p in student.parameters() if p.grad is not None]
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_a_task_without_labels_is_imitated() -> None:
    student, batch = tiny.student(), tiny.batch()
    batch.targets["height"] = TASKS["height"].collate([*torch.rand(2, 1, 4, 6)], batch.images)
    terms, (output,) = objective([batch], student, TASKS, build(), Uniform())
    assert set(output.predictions) == {"colour", "height"}
    assert set(terms.task) == {"height"}
    assert bool(terms.distill["colour"].mean() > 0)


def test_the_teacher_itself_is_at_no_distance() -> None:
    teacher = tiny.teachers()["colour"].eval()
    batch: Batch = tiny.batch()
    distiller = build({"colour": teacher})
    assert float(distiller(batch, teacher(batch.images))["colour"].mean()) == pytest.approx(0, abs=1e-6)


def test_has_no_state() -> None:
    assert not build().state_dict()
    assert not list(build().parameters())


def test_a_distance_of_the_predictions_of_one_teacher_of_all_tasks() -> None:
    """As in Xu et al. (ICCV 2023), whatever the tasks' own losses."""
    student, teacher, batch, distance = tiny.student().eval(), tiny.student(5), tiny.batch(), CauchySchwarz()
    distiller = build({"multi": Teacher("multi", teacher, ("colour", "height"))}, scale=2.0, distance=distance)
    output, taught = student(batch.images), teacher(batch.images).predictions
    terms = distiller(batch, output)
    for t in TASKS:
        expected = distance(output.predictions[t], taught[t].detach())
        torch.testing.assert_close(terms[f"multi/{t}"].sum, 2 * expected.sum())
        torch.testing.assert_close(distiller.distances()[f"multi/{t}/prediction"], expected.mean().detach())


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"temperature: expected 1 beside a `distance`.*found 2.0; give it to"):
        build(temperature=2.0, distance=CauchySchwarz())
    with pytest.raises(ValueError, match=r"weights: expected names of teachers \(colour, height\), found `heights`"):
        build(weights={"heights": 1.0})
    with pytest.raises(ValueError, match=r"temperature: expected a positive number, found 0"):
        build(temperature=0.0)


def mean_over_mirror(net: MultiTaskNet, images: Tensor, task: str) -> Tensor:
    """What a teacher says of images and of their mirror images, on average, position by position."""
    raw, other = (net.eval()(x).predictions[task].detach() for x in (images, images.flip(3)))
    expected = raw.clone()
    for column in range(raw.shape[3]):
        expected[..., column] = (raw[..., column] + other[..., raw.shape[3] - 1 - column]) / 2
    return expected


def test_teachers_that_see_the_mirror_image_too_give_the_mean() -> None:
    student, teachers, batch = tiny.student().eval(), tiny.teachers(), tiny.batch()
    output = student(batch.images)
    terms = build(teachers, mirror=True)(batch, output)
    height = mean_over_mirror(teachers["height"], batch.images, "height")
    error = float((output.predictions["height"].detach() - height).abs().mean())
    assert float(terms["height"].mean().detach()) == pytest.approx(error, rel=1e-4)
    colour = mean_over_mirror(teachers["colour"], batch.images, "colour")
    kl = slow_kl(output.predictions["colour"].detach(), colour, 1.0)
    assert float(terms["colour"].mean().detach()) == pytest.approx(kl, rel=1e-4)
    without = build(teachers)(batch, output)
    assert float(without["height"].mean().detach()) != pytest.approx(error, rel=1e-3)


def test_the_mean_is_that_of_the_images_which_a_teacher_sees() -> None:
    student, teachers, batch = tiny.student().eval(), tiny.teachers(), tiny.batch()
    batch.labelled = {"colour": torch.tensor([False, True]), "height": torch.tensor([True, False])}
    output = student(batch.images)
    terms = build(teachers, mirror=True, teach="own")(batch, output)
    height = mean_over_mirror(teachers["height"], batch.images[:1], "height")
    error = float((output.predictions["height"][:1].detach() - height).abs().mean())
    assert float(terms["height"].mean().detach()) == pytest.approx(error, rel=1e-4)


def test_the_features_of_a_mirrored_teacher_are_those_of_the_image() -> None:
    student, teachers, batch = tiny.student().eval(), tiny.teachers(), tiny.batch()
    parts: list[Distiller] = []
    for mirror in (False, True):
        torch.manual_seed(3)
        makers = [
            lambda *given: FeatureDistiller(*given, {"last": "last"}),
            lambda *given, mirror=mirror: LogitDistiller(*given, mirror=mirror),
        ]
        distiller = SumDistiller(student, teachers, EXAMPLE, makers)
        distiller.setup(TASKS)
        distiller.begin_step(0.0, observed=False)
        distiller(batch, student(batch.images))
        parts.append(distiller)
    (plain, plain_logits), (mirrored, logits) = ((x.parts[0].distances(), x.parts[1].distances()) for x in parts)
    assert plain == mirrored
    assert logits["height/prediction"] != plain_logits["height/prediction"]


def test_parts_agree_on_the_predictions_of_a_network() -> None:
    makers = [lambda *given, mirror=mirror: LogitDistiller(*given, mirror=mirror) for mirror in (False, True)]
    with pytest.raises(UserError, match=r"^mirror: expected one value for all parts .* found true and false; give"):
        SumDistiller(tiny.student(), tiny.teachers(), EXAMPLE, makers)


def test_teachers_of_a_task_share_its_lambda() -> None:
    student, batch = tiny.student().eval(), tiny.batch()
    network = tiny.student(seed=5)
    teachers = {**tiny.teachers(), "both": Teacher("both", network, tuple(TASKS))}
    only = {name: net for name, net in teachers.items() if name != "colour"}
    output = student(batch.images)
    full = build(teachers, weights={"both": 3.0})(batch, output)
    shared = build(teachers, weights={"both": 3.0}, share=True)(batch, output)
    for term in full:
        torch.testing.assert_close(shared[term].mean(), full[term].mean() / 2)
    one = build(only, share=True)(batch, output)
    torch.testing.assert_close(one["both/colour"].mean(), build(only)(batch, output)["both/colour"].mean())


def test_mirrored_teachers_ask_for_the_tasks_in_one_line() -> None:
    student, batch = tiny.student().eval(), tiny.batch()
    distiller = LogitDistiller(student, tiny.teachers(), EXAMPLE, mirror=True)
    with pytest.raises(
        UserError, match=r"^LogitDistiller: expected the task `colour`, whose loss it takes, found none"
    ):
        distiller(batch, student(batch.images))
