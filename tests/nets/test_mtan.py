from pathlib import Path

import pytest
import torch
from tests.distill.tiny import NoReduce
from tests.nets.net_tester import WIDTHS, NetTester
from tests.reference import golden, mtan_reference
from torch.nn.functional import conv2d

from tutelage.balance import Aggregator, Uniform
from tutelage.distill import FeatureDistiller
from tutelage.nets import MTAN, load_authors
from tutelage.tasks import Depth, Normals, Segmentation
from tutelage.types import Batch, MultiTaskNet, Term, Terms

FILTERS = (4, 6, 8, 8, 12)
TASKS = {"segmentation": Segmentation(5), "depth": Depth(), "normals": Normals()}
KD4MTL = {"bottleneck": "bottleneck", "last": "last"}


class TestMTAN(NetTester):
    boundary = False

    def build(self, widths: dict[str, int]) -> MultiTaskNet:
        return MTAN(widths, filters=FILTERS)


def net(*tasks: str, seed: int = 0) -> MTAN:
    torch.manual_seed(seed)
    return MTAN({t: WIDTHS[t] for t in tasks or WIDTHS}, filters=FILTERS)


def images(height: int = 64, width: int = 96) -> torch.Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("widths", "parameters"), [((13, 1, 3), 44_229_073), ((13,), 38_185_805), ((1,), 38_185_025), ((3,), 38_185_155)]
)
def test_parameters_are_the_papers(widths: tuple[int, ...], parameters: int) -> None:
    with torch.device("meta"):
        net = MTAN({f"{i}": width for i, width in enumerate(widths)})
    assert sum(p.numel() for p in net.parameters()) == parameters


def test_width_multiplies_every_level() -> None:
    net = MTAN({"a": 1}, width=0.125)
    assert [level[-2].num_features for level in net.encoder] == [8, 16, 32, 64, 64]
    assert [mask[0].in_channels for mask in net.attention["a"].encoder] == [8, 32, 64, 128, 128]
    assert [mask[0].in_channels for mask in net.attention["a"].decoder] == [16, 24, 48, 96, 128]


@torch.no_grad()
def test_the_start_is_the_authors() -> None:
    for name, p in MTAN(WIDTHS, width=0.5).named_parameters():
        if p.ndim == 4:
            o, i, *kernel = p.shape
            deviation = (2 / ((i + o) * torch.Size(kernel).numel())) ** 0.5
            assert float(p.std()) == pytest.approx(deviation, rel=6 * (2 * p.numel()) ** -0.5), name
        else:
            assert torch.equal(p, torch.full_like(p, "bias" not in name)), name


@pytest.mark.parametrize("tasks", [None, [], ["normals"]])
def test_taps_are_of_all_tasks(tasks: list[str] | None) -> None:
    taps = net()(images(), tasks).taps
    assert {k: {t: tuple(x.shape) for t, x in tap.items()} for k, tap in taps.items()} == {
        "bottleneck": dict.fromkeys(WIDTHS, (2, 12, 2, 3)),
        "last": dict.fromkeys(WIDTHS, (2, 4, 64, 96)),
    }


@pytest.mark.parametrize("tap", KD4MTL)
def test_a_tap_is_of_its_task_alone(tap: str) -> None:
    student = net()
    student(images(), tasks=()).taps[tap]["depth"].sum().backward()
    attention = {t: [p.grad is not None for p in student.attention[t].parameters()] for t in WIDTHS}
    assert any(attention["depth"])
    assert all(attention["depth"]) == (tap == "last")
    assert not any(attention["segmentation"] + attention["normals"])
    assert all(p.grad is None for p in student.heads.parameters())


@torch.no_grad()
@pytest.mark.parametrize("size", [(64, 96), (33, 47)])
def test_a_branch_is_the_single_task_network_of_its_weights(size: tuple[int, int]) -> None:
    every = net().eval()
    output, state = every(images(*size)), every.state_dict()
    for t in WIDTHS:
        alone = net(t, seed=1).eval()
        alone.load_state_dict({name: state[name] for name in alone.state_dict()})
        one = alone(images(*size))
        assert torch.equal(one.predictions[t], output.predictions[t])
        assert all(torch.equal(tap[t], output.taps[k][t]) for k, tap in one.taps.items())


def test_shared_norms_see_every_task_once_a_step() -> None:
    student = net()
    student(images(), tasks=["depth"])
    counts = {name: int(x) for name, x in student.state_dict().items() if name.endswith("num_batches_tracked")}
    assert {count for name, count in counts.items() if "_shared" in name} == {3}
    assert {count for name, count in counts.items() if "_shared" not in name} == {1}


def test_a_distilled_step_is_autograd_of_the_papers_formula() -> None:
    student, batch = net(), Batch(images(), {})
    teachers: dict[str, MultiTaskNet] = {t: net(t, seed=i) for i, t in enumerate(WIDTHS, 1)}
    distiller = FeatureDistiller(student, teachers, batch.images[:1], KD4MTL, {"normals": 2.0})

    output = student(batch.images)
    losses = {t: raw.square() for t, raw in output.predictions.items()}
    terms = Terms()
    terms.task.update({t: Term(loss.sum(), torch.tensor(loss.numel())) for t, loss in losses.items()})
    terms.distill += distiller(batch, output)

    d = dict.fromkeys(WIDTHS, torch.tensor(0.0))
    for t, teacher in teachers.items():
        for k, b in teacher(batch.images).taps.items():
            a = conv2d(output.taps[k][t], distiller.adaptors[t][k].conv.weight)
            a, b = (f / (f.square().sum(1, keepdim=True) + 1e-6).sqrt() for f in (a, b[t]))
            d[t] = d[t] + (1 + (t == "normals")) * (a - b).square().sum(1).mean()
        torch.testing.assert_close(terms.distill[t].mean(), d[t])
        others = [p for other in WIDTHS if other != t for p in student.attention[other].parameters()]
        others += [p for other in WIDTHS if other != t for p in distiller.adaptors[other].parameters()]
        actual = torch.autograd.grad(terms.distill[t].sum, others, retain_graph=True, allow_unused=True)
        assert all(g is None for g in actual)

    parameters = [*student.parameters(), *distiller.parameters()]
    formula = sum(losses[t].mean() + d[t] for t in WIDTHS)
    expected = torch.autograd.grad(formula, parameters, retain_graph=True)
    Uniform().backward(terms, [output], student, NoReduce())
    # A bias before a batch norm has no gradient but rounding: what counts as nothing is measured by the largest one.
    nothing = 1e-5 * max(float(gradient.abs().max()) for gradient in expected)
    for parameter, want in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, want, rtol=1e-3, atol=nothing)


def test_aggregator_are_combined_at_the_parameters_and_not_at_a_representation() -> None:
    student = net()
    output = student(images())
    losses = {t: Term(raw.square().sum(), torch.tensor(raw.numel())) for t, raw in output.predictions.items()}
    for where in ("parameters", "representation"):
        balancer = Aggregator("MGDA", where=where)
        balancer.setup(TASKS, student)
        balancer.begin_step(0.0)
        if where == "representation":
            with pytest.raises(ValueError, match="expected `parameters` for MTAN, which has no tensors") as error:
                balancer.boundary(output)
            assert "\n" not in str(error.value)
            continue
        terms = Terms()
        terms.task.update(losses)
        balancer.backward(terms, [balancer.boundary(output)], student, NoReduce())
        balancer.finish()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in student.parameters())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MTAN({}), "MTAN: expected one task or more"),
        (lambda: MTAN({"a": 0}), "MTAN: .* at least one channel"),
        (lambda: MTAN({"a": 1}, width=0.001), "MTAN: .* raise `width`"),
        (lambda: net()(images(31, 64)), r"MTAN: expected images of at least 32x32, found \(31, 64"),
        (lambda: net("depth")(images(), ["a"]), "MTAN: expected tasks among depth; found `a`"),
    ],
)
def test_mistakes(build: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        build()
    assert "\n" not in str(error.value)


@torch.no_grad()
def test_the_authors_mtan(tmp_path: Path) -> None:
    path = tmp_path / "x"
    torch.save({"state_dict": {"logsigma": torch.zeros(3)} | mtan_reference.state(golden.STUDENT)}, path)
    net = MTAN({"normals": 3, "segmentation": 13, "depth": 1}).eval()
    load_authors(net, path)
    path.unlink()  # 180 MB
    mtan_reference.assert_the_authors_outputs(net(golden.images()))
