"""Digits and characters: images with one class each, and overlays of two digits."""

from tutelage.data.digits.mnist import Mnist
from tutelage.data.digits.omniglot import Omniglot
from tutelage.data.digits.overlaid import MultiMnist, OverlaidDigits
from tutelage.data.digits.pairs import MnistUsps, SvhnOmniglot
from tutelage.data.digits.svhn import Svhn
from tutelage.data.digits.usps import Usps

__all__ = ["Mnist", "MnistUsps", "MultiMnist", "Omniglot", "OverlaidDigits", "Svhn", "SvhnOmniglot", "Usps"]
