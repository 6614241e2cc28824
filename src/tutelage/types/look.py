"""What is seen of data before training: a summary per label and split, and what is doubtful."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

_VERSION = 1


@dataclass(frozen=True)
class Measures:
    """The values of many images or labels.

    Attributes:
        count: How many.
        empty: How many of them have no labelled position.
        unlabelled: The share of all positions that have no label; 0 where there are none.
        low: The least value; None where nothing has a label.
        middle: The median of their medians.
        high: The greatest value.
        classes: Class -> share of the labelled positions, in the order of the classes; empty for other values.
    """

    count: int
    empty: int
    unlabelled: float
    low: float | None
    middle: float | None
    high: float | None
    classes: Mapping[int, float]


@dataclass(frozen=True)
class Warned:
    """Something suspicious that may still be right. What is surely wrong is a `UserError` instead.

    Attributes:
        where: The label's folder, file or key, as messages name it.
        text: "expected ..., found ...; what to do", one line without `where`.
    """

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


@dataclass(frozen=True)
class LeftOut:
    """Files beside those that are used, and why they are not read.

    Attributes:
        folder: Where they are.
        reason: Such as "no image has this name" or "suffix .heic is not read".
        count: How many.
        examples: The names of the first of them.
    """

    folder: str
    reason: str
    count: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        names = ", ".join(self.examples) + (", ..." if self.count > len(self.examples) else "")
        return f"{self.folder}: {self.count} left out ({names}): {self.reason}"


@dataclass(frozen=True)
class Summary:
    """The images, or the labels of one task, of one split of one source.

    Attributes:
        source: The name of the source.
        split: "train" or "test".
        label: The task; "" for the images.
        kind: The class of the kind of label: "DepthLabel".
        reading: How stored values are understood: "value x 0.001 = metres".
        unit: Of the values: "m", or "".
        samples: The images of the split.
        files: How many of them have this label, of those that were looked at.
        looked_at: How many were looked at.
        stored: How they are stored, in words -> how many: {"PNG, 16-bit grey": 200}.
        measures: The values of what was looked at, as they are after decoding and resizing.
    """

    source: str
    split: str
    label: str
    kind: str
    reading: str
    unit: str
    samples: int
    files: int
    looked_at: int
    stored: Mapping[str, int]
    measures: Measures


@dataclass(frozen=True)
class Example:
    """A sample that stands for a kind of label, or for a way in which images are stored.

    Attributes:
        caption: What it stands for.
        where: The origin of the label, or of the image.
        image: [3, H, W] in 0..1.
        task: Of the label; "" where there is none.
        label: As the task expects it; None where the image stands for itself.
    """

    caption: str
    where: str
    image: Tensor
    task: str = ""
    label: Tensor | None = None


@dataclass(frozen=True)
class Look:
    """All that was seen of a study's data.

    The check before training writes it as `data.json` into the folder of the study (`tutelage.layout.DATA`), where the
    report's page reads it:

        {"version": 1,
         "warnings": [{"where": "data/train/depth", "text": "expected ..., found ...; what to do"}, ...],
         "left_out": [{"folder": ..., "reason": ..., "count": 6, "examples": ["a.heic", ...]}, ...],
         "wrong": [],
         "labels": [{"source": ..., "split": "train", "label": "depth", "kind": "DepthLabel",
                     "reading": "value x 0.001 = metres", "unit": "m", "samples": 200, "files": 198, "looked_at": 200,
                     "stored": {"PNG, 16-bit grey": 198},
                     "measures": {"count": 198, "empty": 0, "unlabelled": 0.04, "low": 0.4, "middle": 2.1, "high": 9.8,
                                  "classes": {"0": 0.25, ...}}}, ...]}

    `wrong` has the lines of what is surely wrong, which only `tutelage inspect` gathers: elsewhere the first one is
    raised. `label` is "" for the images. Numbers are null where no position has a label. The file may be absent, or of
    another version. Its texts hold names of files: they are escaped wherever they are shown.
    """

    labels: Sequence[Summary] = ()
    left_out: Sequence[LeftOut] = ()
    warnings: Sequence[Warned] = ()
    wrong: Sequence[str] = ()

    def record(self) -> dict[str, Any]:
        """As plain values, for `data.json`."""
        return {"version": _VERSION, **asdict(self)}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Look":
        """The look of a `record`, which may come from anybody.

        Raises:
            ValueError: It is of another version, or damaged.
        """
        if record.get("version") != _VERSION:
            raise ValueError(
                f"expected version {_VERSION} of what was seen of data, found {record.get('version')!r:.40}"
            )
        try:
            return cls(
                [_summary(x) for x in record["labels"]],
                [
                    LeftOut(str(x["folder"]), str(x["reason"]), int(x["count"]), tuple(map(str, x["examples"])))
                    for x in record["left_out"]
                ],
                [Warned(str(x["where"]), str(x["text"])) for x in record["warnings"]],
                [str(line) for line in record["wrong"]],
            )
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:  # of any other values
            raise ValueError(f"expected what was seen of data, found a damaged record ({error!r:.80})") from error


def _summary(x: Mapping[str, Any]) -> Summary:
    values = x["measures"]
    low, middle, high = (None if values[k] is None else float(values[k]) for k in ("low", "middle", "high"))
    classes = {int(c): float(share) for c, share in values["classes"].items()}
    measures = Measures(
        int(values["count"]), int(values["empty"]), float(values["unlabelled"]), low, middle, high, classes
    )
    text = {name: str(x[name]) for name in ("source", "split", "label", "kind", "reading", "unit")}
    numbers = {name: int(x[name]) for name in ("samples", "files", "looked_at")}
    stored = {str(how): int(n) for how, n in x["stored"].items()}
    fields: dict[str, Any] = {**text, **numbers, "stored": stored, "measures": measures}
    return Summary(**fields)
