"""The student alone: a network, the activations of its tasks and the size of its images, as one module and one file."""

from tutelage.deploy.build import build, build_tasks
from tutelage.deploy.bundle import load, save, write_bundle
from tutelage.deploy.card import Evidence, model_card
from tutelage.deploy.device import find_device
from tutelage.deploy.exporter import Exported, export
from tutelage.deploy.fingerprint import fingerprint
from tutelage.deploy.inputs import find_images
from tutelage.deploy.predict_files import Predicted, predict_files
from tutelage.deploy.predictor import Predictor

__all__ = [
    "Evidence",
    "Exported",
    "Predicted",
    "Predictor",
    "build",
    "build_tasks",
    "export",
    "find_device",
    "find_images",
    "fingerprint",
    "load",
    "model_card",
    "predict_files",
    "save",
    "write_bundle",
]
