"""A model of scalars, and what every balancer on the losses promises."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tutelage.types import Balancer, Reduce, Term, TermMap, Terms

TASKS: Any = {"shapes": SimpleNamespace(regression=False), "height": SimpleNamespace(regression=True)}
COUNTS = {"shapes": 6, "height": 3}


class WholeStep(Reduce):
    """The counts of the whole step, of which one backward is `share`."""

    def __init__(self, counts: dict[str, int] | None = None, images: int = 4, share: float = 1.0) -> None:
        self.counts, self.images, self.share = counts, images, share

    def __call__(self, terms: Terms) -> Terms:
        if self.counts is None:
            return terms
        return Terms(
            TermMap({t: Term(term.sum, torch.tensor(self.counts[t])) for t, term in terms.task.items()}),
            TermMap({t: Term(term.sum, torch.tensor(self.images)) for t, term in terms.distill.items()}),
        )


class Model(nn.Module):
    """One number x; l_shapes = mean |x - i|, l_height = mean (x - i)^2, d_t = mean x^3 over images."""

    def __init__(self) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.tensor(2.5))

    def terms(self, counts: dict[str, int] = COUNTS, images: int = 4, distil: tuple[str, ...] = ("height",)) -> Terms:
        task = TermMap()
        for t, count in counts.items():
            difference = self.x - torch.arange(count)
            task[t] = Term((difference.abs() if t == "shapes" else difference**2).sum(), torch.tensor(count))
        return Terms(task, TermMap({t: Term(images * 2 * self.x**3, torch.tensor(images)) for t in distil}))

    def grad(self) -> Tensor:
        assert self.x.grad is not None
        grad, self.x.grad = self.x.grad, None
        return grad


class BalancerTester:
    @pytest.fixture
    def balancer(self) -> Balancer:
        raise NotImplementedError

    def ready(self, balancer: Balancer, tasks: Any = TASKS) -> Model:
        model = Model()
        balancer.setup(tasks, model)
        return model

    def grads(self, balancer: Balancer, model: Model) -> list[Tensor]:
        grads = [model.grad(), *(p.grad for p in balancer.parameters() if p.grad is not None)]
        balancer.zero_grad()
        return grads

    def test_distillation_is_added_as_it_is(self, balancer: Balancer) -> None:
        model = self.ready(balancer)
        balancer.backward(model.terms(distil=()), [], model, WholeStep())
        without = model.grad()
        balancer.backward(model.terms(), [], model, WholeStep())
        torch.testing.assert_close(model.grad() - without, torch.tensor(6 * 2.5**2))

    def test_distillation_alone(self, balancer: Balancer) -> None:
        model = self.ready(balancer)
        balancer.backward(model.terms({}), [], model, WholeStep())
        torch.testing.assert_close(model.grad(), torch.tensor(6 * 2.5**2))

    def test_nothing_to_learn_from(self, balancer: Balancer) -> None:
        model = self.ready(balancer)
        balancer.backward(model.terms({}, distil=()), [], model, WholeStep())
        assert model.x.grad is None

    def test_weights_are_detached(self, balancer: Balancer) -> None:
        model = self.ready(balancer)
        weights = balancer.backward(model.terms(), [], model, WholeStep())
        assert set(weights) == set(TASKS)
        assert not any(w.requires_grad for w in weights.values())

    def test_accumulated_parts_add_to_the_whole(self, balancer: Balancer) -> None:
        model = self.ready(balancer)
        balancer.backward(model.terms({"shapes": 6, "height": 3}, images=4), [], model, WholeStep())
        whole = self.grads(balancer, model)
        # the second part has no height and repeats no image: sums of the parts add to those of the whole
        first, second = model.terms({"shapes": 4, "height": 3}, images=3), model.terms({"shapes": 0}, images=1)
        second.task["shapes"] = Term((model.x - torch.arange(4, 6)).abs().sum(), torch.tensor(2))
        reduce = WholeStep(COUNTS, 4, share=0.5)
        balancer.backward(first, [], model, reduce)
        second.task["height"] = Term(0 * model.x, torch.tensor(0))
        balancer.backward(second, [], model, reduce)
        for got, want in zip(self.grads(balancer, model), whole, strict=True):
            torch.testing.assert_close(got, want)

    def test_a_task_without_labels_changes_nothing(self, balancer: Balancer) -> None:
        model = self.ready(balancer)
        balancer.backward(model.terms({"shapes": 6}), [], model, WholeStep())
        gone = model.grad()
        absent = [p.grad is None for p in balancer.parameters()]
        balancer.zero_grad()
        balancer.backward(model.terms({"shapes": 6, "height": 0}), [], model, WholeStep())
        torch.testing.assert_close(model.grad(), gone)
        for p, was_absent in zip(balancer.parameters(), absent, strict=True):
            assert not was_absent or p.grad is None  # a gradient of 0 moves it, too, by momentum

    def test_the_order_of_the_tasks_does_not_matter(self, balancer: Balancer) -> None:
        model = self.ready(balancer)
        weights = balancer.backward(model.terms(), [], model, WholeStep())
        grad = model.grad()
        reverse = dict(reversed(TASKS.items()))
        balancer.setup(reverse, model)
        again = balancer.backward(model.terms(dict(reversed(COUNTS.items()))), [], model, WholeStep())
        torch.testing.assert_close(model.grad(), grad)
        assert again == weights

    def test_state_dict_round_trip(self, balancer: Balancer) -> None:
        self.ready(balancer)
        state = balancer.state_dict()
        with torch.no_grad():
            for p in balancer.parameters():
                p.add_(1)
        assert not any(name.startswith("_") for name in state if name != "_extra_state")  # torch's name
        balancer.load_state_dict(state, strict=True)
