"""What a folder of files seems to hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tutelage.data.look.stored import Stored


@dataclass(frozen=True)
class Guess:
    """What a folder seems to hold. `tutelage inspect` shows it, `tutelage init` writes it into a study.

    Attributes:
        kind: class_path of the kind of label, such as "tutelage.data.DepthLabel"; "" where it is an image, or unknown.
        kind_args: Its arguments, such as {"scale": 0.001}.
        task: class_path of the task that learns it, such as "tutelage.tasks.Depth"; "" likewise.
        task_args: Its arguments, such as {"classes": 13}; none that has to be known from elsewhere.
        words: What was seen, in words: "16-bit grey, looks like depth in millimetres: 0.4 to 9.8 m".
        doubts: What may be wrong, each as one sentence for the user.
        is_image: These are colour or grey photographs: what a network looks at.
        files: The number of files that were found.
        stored: How they are stored -> how many of those looked at.
    """

    kind: str = ""
    kind_args: Mapping[str, Any] = field(default_factory=dict)
    task: str = ""
    task_args: Mapping[str, Any] = field(default_factory=dict)
    words: str = ""
    doubts: tuple[str, ...] = ()
    is_image: bool = False
    files: int = 0
    stored: Mapping[Stored, int] = field(default_factory=dict)
