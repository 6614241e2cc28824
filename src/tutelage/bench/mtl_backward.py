"""torchjd's own way to balance gradients, for comparison."""

from torch import Tensor

from tutelage.types import Balancer, MultiTaskNet, Output, Reduce, Terms


class MtlBackward(Balancer):
    """torchjd's `mtl_backward` and `jac_to_grad`: the reference for exact gradients.

    Args:
        method: an aggregator of torchjd.
        chunk: how many tasks' gradients are computed at a time; None: all, vectorised.
    """

    def __init__(self, method: str, chunk: int | None) -> None:
        super().__init__()
        from torchjd import aggregation

        self.aggregator, self.chunk = getattr(aggregation, method)(), chunk

    def backward(self, terms: Terms, outputs: list[Output], net: MultiTaskNet, reduce: Reduce) -> dict[str, Tensor]:
        """Add the gradient to `.grad`."""
        from torchjd.autojac import jac_to_grad, mtl_backward

        terms = reduce(terms)
        shared = net.shared_parameters()
        mtl_backward(
            [term.mean() for term in terms.task.values()],
            features=outputs[0].shared,
            tasks_params=[net.task_parameters(t) for t in terms.task],
            shared_params=shared,
            parallel_chunk_size=self.chunk,
        )
        jac_to_grad(shared, self.aggregator)
        return {}
