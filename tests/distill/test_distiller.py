import copy
from collections.abc import Callable, Mapping

import pytest
import torch
from jsonargparse import ArgumentParser
from tests.distill import tiny
from tests.reference.distill_reference import bilinear, conv1x1, distance, norm_add, norm_clamp, objective
from torch import Tensor, nn

from tutelage.balance import Uniform
from tutelage.distill import Conv1x1, FeatureDistiller, NormalisedL2
from tutelage.types import Distiller, MultiTaskNet, Term, Terms

KD4MTL = {"bottleneck": "bottleneck", "last": "last"}
URL = {"bottleneck": "last", "last": "last"}
LAMBDA = {"colour": 1.0, "height": 2.0}
EXAMPLE = torch.zeros(1, 3, 4, 6)


def build(student: MultiTaskNet, teachers: dict[str, MultiTaskNet], **kwargs) -> FeatureDistiller:
    kwargs = {"match": KD4MTL, "weights": LAMBDA} | kwargs
    return FeatureDistiller(student, teachers, EXAMPLE, **kwargs)


def task_terms(output, labels: Mapping[str, Tensor]) -> dict[str, Term]:
    """l_t = mean absolute error over valid positions, the first image of `height` being unlabelled."""
    terms = {}
    for t, label in labels.items():
        valid = torch.ones(label.shape[0], 1, *label.shape[2:])
        valid[0] = t != "height"
        count = valid.sum() * label.shape[1]
        terms[t] = Term(((output.predictions[t] - label).abs() * valid).sum(), count)
    return terms


@pytest.mark.parametrize(
    ("match", "guard", "epsilon", "norm"),
    [(KD4MTL, "add", 1e-6, norm_add), (URL, "clamp", 1e-12, norm_clamp)],
    ids=["kd4mtl", "url"],
)
def test_gradient_of_a_distilled_step_is_autograd_of_the_papers_formula(match, guard, epsilon, norm) -> None:
    student, teachers, batch = tiny.student(), tiny.teachers(channels=5, last=2), tiny.batch()
    distiller = build(student, teachers, match=match, distance=NormalisedL2(epsilon, guard))
    labels = {t: torch.rand(2, width, 4, 6) for t, width in tiny.WIDTHS.items()}
    student.train()
    student.encoder[-1].p = 0.0  # no dropout: both passes see the same network
    reference = copy.deepcopy(student)

    # the step, as the library takes it
    balancer, weights = Uniform({"colour": 0.5}), {"colour": 0.5, "height": 1.0}
    output = student(batch.images)
    terms = Terms()
    terms.task += task_terms(output, labels)
    terms.distill += distiller(batch, output)
    balancer.backward(terms, [output], student, tiny.NoReduce())
    ours = [p.grad for p in (*student.parameters(), *distiller.parameters())]

    # the formula: loops over tasks, taps, images and positions
    output = reference(batch.images)
    losses, distances = {}, {}
    for t in tiny.WIDTHS:
        first = 0 if t == "colour" else 1
        losses[t] = (output.predictions[t] - labels[t])[first:].abs().mean()
        with torch.no_grad():
            phi_t = teachers[t](batch.images).taps
        distances[t] = []
        for k, k_t in match.items():
            adapted = conv1x1(distiller.adaptors[t][k].conv.weight, output.taps[k])
            adapted = bilinear(adapted, *phi_t[k_t].shape[2:])
            distances[t].append(distance(adapted, phi_t[k_t], norm))
    formula = objective(losses, weights, distances, LAMBDA)
    expected = torch.autograd.grad(formula, [*reference.parameters(), *distiller.parameters()])

    for got, want in zip(ours, expected, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-6)
    total = sum(weights[t] * terms.task[t].mean() + terms.distill[t].mean() for t in tiny.WIDTHS)
    torch.testing.assert_close(total, formula)


def test_terms_are_sums_over_images_with_lambda() -> None:
    student, teachers, batch = tiny.student().eval(), tiny.teachers(), tiny.batch(size=3)
    distiller = build(student, teachers)
    terms = distiller(batch, student(batch.images))
    d = distiller.distances()
    assert set(d) == {"colour/bottleneck", "colour/last", "height/bottleneck", "height/last"}
    for t, lambda_t in LAMBDA.items():
        assert terms[t].count.item() == 3
        torch.testing.assert_close(terms[t].mean(), lambda_t * (d[f"{t}/bottleneck"] + d[f"{t}/last"]))
        assert not d[f"{t}/last"].requires_grad


def test_a_task_that_is_not_named_has_lambda_1() -> None:
    student, teachers, batch = tiny.student().eval(), tiny.teachers(), tiny.batch()
    torch.manual_seed(3)
    one = build(student, teachers, weights={"height": 1.0})
    torch.manual_seed(3)
    two = build(student, teachers, weights=None)
    output = student(batch.images)
    for t in tiny.WIDTHS:
        torch.testing.assert_close(one(batch, output)[t].sum, two(batch, output)[t].sum, rtol=0, atol=0)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_teachers_are_bitwise_unchanged_by_a_step_in_train_mode(precision: torch.dtype) -> None:
    student, teachers, batch = tiny.student(), tiny.teachers(), tiny.batch()
    distiller = build(student, teachers)
    before = {t: copy.deepcopy(net.state_dict()) for t, net in teachers.items()}
    student.train()
    distiller.train()
    optimiser = torch.optim.Adam([*student.parameters(), *distiller.parameters()], lr=0.1, weight_decay=0.1)
    was = copy.deepcopy(distiller.state_dict())
    for _ in range(2):
        with torch.autocast("cpu", dtype=precision, enabled=precision != torch.float32):
            output = student(batch.images)
            loss = torch.stack([term.mean() for term in distiller(batch, output).values()]).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for t, net in teachers.items():
        assert all(p.grad is None for p in net.parameters())
        for key, tensor in net.state_dict().items():
            assert torch.equal(tensor, before[t][key]), (t, key)
    assert all(not torch.equal(p, was[key]) for key, p in distiller.state_dict().items())


def test_state_dict_holds_the_adaptors_alone_and_round_trips() -> None:
    student, teachers, batch = tiny.student().eval(), tiny.teachers(), tiny.batch()
    one, two = build(student, teachers), build(student, teachers)
    keys = [f"adaptors.{t}.{k}.conv.weight" for t in tiny.WIDTHS for k in KD4MTL]
    assert list(one.state_dict()) == keys
    assert [name for name, _ in one.named_parameters()] == keys
    output = student(batch.images)
    assert one(batch, output)["height"].sum != two(batch, output)["height"].sum
    two.load_state_dict(one.state_dict(), strict=True)
    assert one(batch, output)["height"].sum == two(batch, output)["height"].sum


def test_distance_is_in_fp32_under_autocast() -> None:
    student, teachers, batch = tiny.student().eval(), tiny.teachers(), tiny.batch()
    distiller = build(student, teachers)
    seen: list[Tensor] = []
    distiller.distance.register_forward_hook(lambda module, args, d: seen.extend((*args, d)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = student(batch.images)
        terms = distiller(batch, output)
    assert all(term.sum.dtype == torch.float32 for term in terms.values())
    for a, b, d in zip(seen[::3], seen[1::3], seen[2::3], strict=True):
        assert a.dtype == b.dtype == torch.bfloat16  # adaptor and teacher run under autocast, the distance does not
        torch.testing.assert_close(d.mean(), distance(a.float(), b.float()), rtol=1e-5, atol=1e-6)


def test_channels_and_resolutions_that_differ() -> None:
    student, batch = tiny.student(channels=4, last=3).eval(), tiny.batch()
    distiller = build(student, tiny.teachers(channels=6, last=2), match={"last": "bottleneck", "bottleneck": "last"})
    assert distiller.adaptors["height"]["last"].conv.weight.shape == (6, 3, 1, 1)
    assert distiller.adaptors["height"]["bottleneck"].conv.weight.shape == (2, 4, 1, 1)
    terms = distiller(batch, student(batch.images))
    assert all(term.sum.isfinite() for term in terms.values())


def test_per_task_taps_reach_their_own_adaptor() -> None:
    student, teachers, batch = tiny.student(per_task=True).eval(), tiny.teachers(per_task=True), tiny.batch()
    distiller = build(student, teachers)
    output = student(batch.images)
    before = {t: term.sum.item() for t, term in distiller(batch, output).items()}
    output.taps["last"]["height"] = output.taps["last"]["height"] ** 2
    after = {t: term.sum.item() for t, term in distiller(batch, output).items()}
    assert after["colour"] == before["colour"]
    assert after["height"] != before["height"]


def test_the_order_of_the_tasks_does_not_matter() -> None:
    student, teachers, batch = tiny.student().eval(), tiny.teachers(), tiny.batch()
    one = build(student, teachers)
    two = build(student, dict(reversed(teachers.items())), weights=dict(reversed(LAMBDA.items())))
    two.load_state_dict(one.state_dict())
    output = student(batch.images)
    ours, theirs = one(batch, output), two(batch, output)
    assert list(ours) == list(reversed(theirs))
    for t in tiny.WIDTHS:
        torch.testing.assert_close(ours[t].sum, theirs[t].sum, rtol=0, atol=0)


def test_adaptors_are_a_function_of_the_global_seed_alone() -> None:
    state = []
    for training in (True, False):
        student, teachers = tiny.student().train(training), tiny.teachers()
        torch.manual_seed(5)
        state.append(build(student, teachers).state_dict())
    assert all(torch.equal(state[0][key], state[1][key]) for key in state[0])


def test_looking_at_the_student_leaves_it_as_it_was() -> None:
    student = tiny.student().train()
    student.decoder.eval()
    modes = [module.training for module in student.modules()]
    before = copy.deepcopy(student.state_dict())
    build(student, tiny.teachers())
    assert [module.training for module in student.modules()] == modes
    assert all(torch.equal(tensor, before[key]) for key, tensor in student.state_dict().items())


def test_taps_named_by_module_path() -> None:
    class Tapped(tiny.Tiny):
        def forward(self, images, tasks=None):
            output = super().forward(images, tasks)
            output.taps = {"decoder.1": output.taps["last"]}
            return output

    student, batch = Tapped(tiny.WIDTHS).eval(), tiny.batch()
    distiller = build(student, tiny.teachers(), match={"decoder.1": "last"})
    distiller(batch, student(batch.images))
    assert "colour/decoder.1" in distiller.distances()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"match": {"neck": "last"}}, r"match: expected taps of the student \(bottleneck, last\), found `neck`"),
        ({"match": {"last": "neck"}}, r"taps of the teacher `colour` \(bottleneck, last\), found `neck`"),
        ({"match": {}}, "match: expected .*, found none"),
        ({"weights": {"colors": 2.0}}, r"expected names of teachers \(colour, height\), found `colors`"),
    ],
)
def test_names_that_do_not_exist(kwargs, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        build(tiny.student(), tiny.teachers(), **kwargs)
    assert "\n" not in str(error.value)


def test_built_from_yaml() -> None:
    """As a study does: networks and example are given by position, the rest stands in the method's file."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--distiller", type=Callable[[MultiTaskNet, Mapping[str, MultiTaskNet], Tensor], Distiller])
    config = parser.parse_object(
        {
            "distiller": {
                "class_path": "tutelage.distill.FeatureDistiller",
                "init_args": {
                    "match": URL,
                    "weights": LAMBDA,
                    "adaptor": {"class_path": "tutelage.distill.Conv1x1", "init_args": {"init": "default"}},
                    "distance": {
                        "class_path": "tutelage.distill.NormalisedL2",
                        "init_args": {"epsilon": 1e-12, "guard": "clamp"},
                    },
                },
            }
        }
    )
    factory = parser.instantiate(config).distiller
    distiller = factory(tiny.student(), tiny.teachers(), EXAMPLE)
    assert isinstance(distiller, FeatureDistiller)
    assert isinstance(distiller.distance, NormalisedL2)
    assert (distiller.distance.guard, distiller.distance.epsilon) == ("clamp", 1e-12)
    adaptor = distiller.adaptors["height"]["bottleneck"]
    assert isinstance(adaptor, Conv1x1)
    assert isinstance(adaptor.conv, nn.Conv2d)
