"""A user's network that fails in the middle of a run: once, if a file says how."""

import json
import os
import signal
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from tutelage.nets import SegNet
from tutelage.types import Output


class FragileNet(SegNet):
    """A SegNet that fails at a training step of the network of some tasks.

    Args:
        widths: as of SegNet.
        filters: as of SegNet.
        how: file that says what happens: `SIGKILL` or another signal, `diverge` or `raise`; it is removed then. `tell`
            fails nothing: the variables of the environment are written beside it.
        of: the tasks of the network that fails.
        at: the step.
    """

    def __init__(
        self, widths: dict[str, int], filters: tuple[int, int, int, int, int], how: str, of: list[str], at: int = 3
    ) -> None:
        super().__init__(widths, filters=filters)
        self.how, self.fragile, self.at, self.steps = Path(how), sorted(widths) == sorted(of), at, 0

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        output = super().forward(images, tasks)
        if self.training and self.fragile:
            self.steps += 1
            if self.steps == self.at and self.how.exists():
                how = self.how.read_text()
                self.how.unlink()
                if how.startswith("SIG"):
                    os.kill(os.getpid(), signal.Signals[how])
                elif how == "tell":
                    self.how.with_suffix(".json").write_text(json.dumps(dict(os.environ)))
                elif how == "raise":
                    raise ZeroDivisionError("in the user's network")
                else:
                    predictions = {t: x * float("nan") for t, x in output.predictions.items()}
                    return replace(output, predictions=predictions)
        return output
