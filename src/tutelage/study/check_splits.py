"""What a split lacks as a whole, though each of its samples is sound."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tutelage.data import ClassesLabel, MaskLabel, Modality, Samples
from tutelage.data.base import Split
from tutelage.data.look import Stored
from tutelage.errors import UserError
from tutelage.study.findings import Checked
from tutelage.types import Task

_LOOKED_AT = 16  # label files of which the greatest value is found, for a message


@contextmanager
def collected(wrong: list[str] | None) -> Iterator[None]:
    """A line of what is wrong goes to `wrong`, where there is such a list, in place of being raised."""
    try:
        yield
    except UserError as error:
        if wrong is None:
            raise
        wrong.append(str(error))


def check_sizes(samples: Samples, checked: Sequence[Checked]) -> None:
    """Raise where images of one batch have several sizes."""
    for sample in checked:
        first, size = checked[0].finding.size, sample.finding.size
        if size != first:
            raise UserError(
                f"{samples.where(sample.index)}: expected {first[0]}x{first[1]}, the size of {samples.where(0)} and of "
                f"all in one batch, found {size[0]}x{size[1]}; set data.size, or train.batch_size: 1"
            )


def check_labelled(split: Split, t: str, task: Task, kind: Modality | None, checked: Sequence[Checked]) -> None:
    """Raise where no label of a split has what its task needs."""
    having = [x for x in checked if t in x.finding.sufficient]
    if any(x.finding.sufficient[t] for x in having):
        return
    where = having[0].where(t) if having else f"tasks.{t}"
    stored = having[0].finding.stored.get(t, Stored()) if having else Stored()
    reading = f", read as `{words}`" if kind and (words := kind.reading(stored)) else ""
    raise UserError(
        f"{where}: expected {task.requirement} for `{t}` somewhere in {split}, found none in {len(having)} labels"
        f"{reading}; {_remedy(task, kind, [x.where(t) for x in having])}"
    )


def _remedy(task: Task, kind: Modality | None, files: Sequence[str]) -> str:
    if isinstance(kind, MaskLabel):
        values = [int(kind.read(Path(file))[0].max()) for file in files[:_LOOKED_AT] if Path(file).is_file()]
        greatest = f", whose greatest value is {max(values)}" if values else ""
        return f"set the label's `threshold` to the least value that means 1 in these files{greatest}"
    if isinstance(kind, ClassesLabel) and "mask" in task.contents:
        return "where 255 is 1, give the label the kind tutelage.data.MaskLabel, which has a `threshold`"
    return 'correct the label, or the arguments of its kind; docs/data.md has the values that mean "no label"'
