"""The student alone: a network, the activations of its tasks and the size of its images, as one module and one file."""

from tutelage.deploy.build import build, build_tasks
from tutelage.deploy.bundle import load, save, write_bundle
from tutelage.deploy.exporter import Exported, export
from tutelage.deploy.fingerprint import fingerprint
from tutelage.deploy.predictor import Predictor
from tutelage.deploy.write import predict_files

__all__ = [
    "Exported",
    "Predictor",
    "build",
    "build_tasks",
    "export",
    "fingerprint",
    "load",
    "predict_files",
    "save",
    "write_bundle",
]
