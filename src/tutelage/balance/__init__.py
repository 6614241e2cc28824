"""How several losses become one update."""

from tutelage.balance.uncertainty import Uncertainty
from tutelage.balance.uniform import Uniform

__all__ = ["Uncertainty", "Uniform"]
