"""What it costs to start the command: CPU seconds of a process, which other load on the machine does not change."""

import resource
import subprocess
import sys

from tutelage.bench.cost import Cost, Spread
from tutelage.bench.harness import Settings

LIMIT = 0.5  # seconds of CPU
VERBS = {"tutelage --help": ("--help",), "tutelage presets": ("presets",)}
_COMMAND = "import sys; from tutelage.cli import main; sys.exit(main())"


def startup(settings: Settings) -> list[Cost]:
    """CPU seconds of the verbs that compute nothing, beside those of Python alone."""
    commands = {name: [sys.executable, "-c", _COMMAND, *words] for name, words in VERBS.items()}
    commands["Python alone"] = [sys.executable, "-c", "pass"]
    used: dict[str, list[float]] = {name: [] for name in commands}
    for n in range(settings.rounds):
        settings.note(f"start-up: round {n + 1} of {settings.rounds}")
        for name, command in commands.items():
            used[name].append(_cpu_seconds(command))
    floor = Spread.of(used.pop("Python alone")).value
    return [
        Cost.of("startup", "CPU seconds of a process", name, Spread.of(values), "s", floor=floor, limit=LIMIT)
        for name, values in used.items()
    ]


def _cpu_seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
