"""One training run: data order, optimisers, the step of the paper, the loop, checkpoints and evaluation."""

import tutelage.train.light_fabric  # noqa: F401  # isort: skip  # before anything else imports Fabric
from tutelage.train.best_epoch import BestEpoch
from tutelage.train.callback import Callback, Moment
from tutelage.train.checkpoint import (
    load_checkpoint,
    save_checkpoint,
    save_safetensors,
)
from tutelage.train.common_state import average_buffers, main_first, share_state
from tutelage.train.compiled import compiled
from tutelage.train.config import TeacherCache, TrainConfig
from tutelage.train.determinism import deterministic
from tutelage.train.distort import Distortion
from tutelage.train.early_stopping import EarlyStopping
from tutelage.train.epoch_selection import EpochSelection
from tutelage.train.evaluate import evaluate, predict
from tutelage.train.freed_memory import freed_memory_kept
from tutelage.train.loader import training_loader, validation_loader
from tutelage.train.log import JsonLines
from tutelage.train.loop import fit
from tutelage.train.meter import NonFiniteError
from tutelage.train.optim import Cosine, Optim, Optimisers
from tutelage.train.recorder import Observer
from tutelage.train.reduce import PartialStep
from tutelage.train.repeated import load_repeated, repeated_views
from tutelage.train.seed import derive, seeded
from tutelage.train.signals import STOPPING, HeldSignals, Interrupted, leave_ends_to_the_parent
from tutelage.train.step import objective, training_step
from tutelage.train.streams import RunLength, Stream, Streams, select
from tutelage.train.training import Training
from tutelage.train.views import make_batch
from tutelage.train.world import LostProcessError, Processes, check_alone, launched, process_count, this_world

__all__ = [
    "STOPPING",
    "BestEpoch",
    "Callback",
    "Cosine",
    "Distortion",
    "EarlyStopping",
    "EpochSelection",
    "HeldSignals",
    "Interrupted",
    "JsonLines",
    "LostProcessError",
    "Moment",
    "NonFiniteError",
    "Observer",
    "Optim",
    "Optimisers",
    "PartialStep",
    "Processes",
    "RunLength",
    "Stream",
    "Streams",
    "TeacherCache",
    "TrainConfig",
    "Training",
    "average_buffers",
    "check_alone",
    "compiled",
    "derive",
    "deterministic",
    "evaluate",
    "fit",
    "freed_memory_kept",
    "launched",
    "leave_ends_to_the_parent",
    "load_checkpoint",
    "load_repeated",
    "main_first",
    "make_batch",
    "objective",
    "predict",
    "process_count",
    "repeated_views",
    "save_checkpoint",
    "save_safetensors",
    "seeded",
    "select",
    "share_state",
    "this_world",
    "training_loader",
    "training_step",
    "validation_loader",
]
