"""How several losses become one update."""

from tutelage.balance.losses import Losses
from tutelage.balance.uncertainty import Uncertainty
from tutelage.balance.uniform import Uniform

__all__ = ["Losses", "Uncertainty", "Uniform"]
