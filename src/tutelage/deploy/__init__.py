"""The student alone: a network, its tasks' activations and the size of its images, in one module and one file."""

from tutelage.deploy.build import build
from tutelage.deploy.predictor import Predictor
from tutelage.deploy.store import load, save
from tutelage.deploy.write import predict_files

__all__ = ["Predictor", "build", "load", "predict_files", "save"]
