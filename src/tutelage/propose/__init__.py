"""From a folder of anybody's images and labels to a study that trains on it."""

from tutelage.propose.dataset import DataSet, explore
from tutelage.propose.study import Proposal, propose

__all__ = ["DataSet", "Proposal", "explore", "propose"]
