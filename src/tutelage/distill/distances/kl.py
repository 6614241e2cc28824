"""Features as distributions over their channels."""

from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

from tutelage.distill.distances.base import Distance, fp32
from tutelage.errors import positive_number


class KL(Distance):
    """Kullback-Leibler divergence of the softmax over the channels from the teacher's.

    d(a, b) = T^2 mean over positions p of sum over channels c of q_cp (log q_cp - log p_cp),
    p_p = softmax(a_p / T), q_p = softmax(b_p / T)

    where a_p, b_p are the C channels at position p and T is the temperature; T^2 keeps the gradient's size when T
    changes. It lies in [0, infinity), is 0 if a and b differ by one constant per position, which it does not see,
    and is neither symmetric nor free of scale. For taps that are logits, or that are read as such.

    Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531. The follow-up
    (arXiv:2204.02744) has it on classification logits with T = 8; for a task's own predictions take `LogitDistiller`.

    Args:
        temperature: T.

    Raises:
        ValueError: If the temperature is not positive.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = positive_number("KL.temperature", temperature, "take 1 for none")

    def per_image(self, a: Tensor, b: Tensor) -> Tensor:
        """d for each image, [B]."""
        log_p, log_q = (log_softmax(fp32(x) / self.temperature, dim=1) for x in (a, b))
        divergence = kl_div(log_p, log_q, reduction="none", log_target=True).sum(1)  # [B, ...]
        return self.temperature**2 * divergence.reshape(len(a), -1).mean(1)

    def extra_repr(self) -> str:
        """The arguments, for `print`."""
        return f"temperature={self.temperature}"
