"""What a tap of the student is matched to, and how that one pair of taps is distilled."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tutelage.distill.adaptors import Adaptor
from tutelage.distill.distances import Distance


@dataclass(frozen=True)
class TapMatch:
    """A tap of a teacher, and what differs for this pair of taps from the rest of the distiller.

    Args:
        tap: The teacher's tap.
        adaptor: Makes A_t^k from the channels of the student's and the teacher's feature; None: the distiller's.
        distance: d_t^k; None: the distiller's.
        weight: w_t^k, a factor of lambda_t for this pair alone.
    """

    tap: str
    adaptor: Callable[[int, int], Adaptor] | None = None
    distance: Distance | None = None
    weight: float = 1.0


Match = Mapping[str, str | TapMatch]  # student's tap -> teacher's tap, alone or with what differs for the pair
