import torch
from tests.distill.tiny import NoReduce
from torch.nn.functional import conv2d, interpolate

from tutelage.balance import Uniform
from tutelage.distill import FeatureDistiller
from tutelage.nets import SegNet
from tutelage.types import Batch, MultiTaskNet, Term, Terms

WIDTHS = {"segmentation": 4, "depth": 1}
LAMBDA = {"segmentation": 1.0, "depth": 2.0}


def test_gradient_of_a_distilled_step_is_autograd_of_the_papers_formula() -> None:
    """With the paper's network, a narrower student than its teachers, and taps at different resolutions."""
    torch.manual_seed(0)
    student = SegNet(WIDTHS, filters=(4, 4, 6, 6, 8)).train()
    teachers: dict[str, MultiTaskNet] = {t: SegNet({t: w}, filters=(6, 6, 6, 6, 8)) for t, w in WIDTHS.items()}
    batch = Batch(torch.rand(2, 3, 64, 64), {})
    match = {"bottleneck": "last", "last": "last"}
    distiller = FeatureDistiller(student, teachers, batch.images[:1], match, LAMBDA)

    output = student(batch.images)
    losses = {t: raw.square() for t, raw in output.predictions.items()}
    terms = Terms()
    terms.task.update({t: Term(loss.sum(), torch.tensor(loss.numel())) for t, loss in losses.items()})
    terms.distill += distiller(batch, output)
    parameters = [*student.parameters(), *distiller.parameters()]
    formula = sum(loss.mean() for loss in losses.values())
    for t, teacher in teachers.items():
        phi_t = teacher(batch.images).taps
        for k, k_t in match.items():
            a = conv2d(output.taps[k], distiller.adaptors[t][k].conv.weight)
            a, b = interpolate(a, phi_t[k_t].shape[2:], mode="bilinear"), phi_t[k_t]
            a, b = (f / (f.square().sum(1, keepdim=True) + 1e-6).sqrt() for f in (a, b))
            formula = formula + LAMBDA[t] * (a - b).square().sum(1).mean()
    expected = torch.autograd.grad(formula, parameters, retain_graph=True)

    Uniform().backward(terms, [output], student, NoReduce())
    # A bias before a batch norm has no gradient but rounding: what counts as nothing is measured by the largest one.
    nothing = 1e-5 * max(float(gradient.abs().max()) for gradient in expected)
    for parameter, want in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, want, rtol=1e-3, atol=nothing)
