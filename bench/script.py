"""A training script that a person brings: what `nightshift.toml` says of it.

Its metric is what it prints: the script's own word, read off its output by a pattern and measured by nobody. All that
shows it says `unjudged`.
"""

import math
import re
import shlex
from collections.abc import Mapping
from string import ascii_letters, digits
from typing import Annotated, Literal

import psutil
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bench import files
from bench.profiles import SCRIPT, Limits, Profile

METRICS = {"karpathy": r"^{name}:\s*(\S+)", "pi": r"^METRIC {name}=(\S+)"}
"""How karpathy/autoresearch and pi-autoresearch print a metric of that name."""
STEPS = {"karpathy": r"step (?P<step>\d+).*?loss: (?P<loss>\S+)"}
SMOKE_S = 300.0
"""The most that a first, short run may take."""
MOST_PROCESSES = 512


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from error
    return text


def _metric(text: str) -> str:
    if text not in METRICS and re.compile(_pattern(text)).groups != 1:
        raise ValueError(f"{text!r} must be {' or '.join(METRICS)}, or a regular expression with one group: the number")
    return text


def _progress(text: str) -> str:
    if text and "step" not in re.compile(_pattern(text)).groupindex:
        raise ValueError(f"{text!r} has no group named step; write (?P<step>\\d+), and (?P<loss>\\S+) for the loss")
    return text


def _command(text: str) -> str:
    if not shlex.split(text):
        raise ValueError("it is empty; say how the script is started")
    return text


def _path(name: str) -> str:
    if not files.is_plain(name.removesuffix("/")):
        raise ValueError(f"{name!r} is no path below the repository's top")
    return name


def _variable(name: str) -> str:
    if not name.strip(ascii_letters + digits + "_") and not name[:1].isdigit():
        return name
    raise ValueError(f"{name!r} is no name of a variable")


Variable = Annotated[str, AfterValidator(_variable)]


class Script(BaseModel):
    """How a script is run and read: the table `[script]` of `nightshift.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: Annotated[str, AfterValidator(_command)]
    """Started without a shell, in a copy of the commit."""
    files: tuple[Annotated[str, AfterValidator(_path)], ...] = Field(min_length=1)
    """What a proposal may change: files, and folders whose names end in a slash."""
    metric: Annotated[str, AfterValidator(_metric)] = "karpathy"
    """A key of METRICS, or a regular expression with one group. The last line that has it counts."""
    name: str = Field(default="val_bpb", pattern=r"^[\w./-]{1,40}$")
    """What the metric is called."""
    direction: Literal["lower", "higher"] = "lower"
    """Which is the better."""
    timeout_minutes: float = Field(default=15.0, gt=0, lt=10_000)
    """A run is killed after that."""
    seed_env: Variable = ""
    """The variable that carries the seed; empty where none can be set."""
    environment: Mapping[Variable, str] = Field(default_factory=dict)
    """Set for each run."""
    smoke: Mapping[Variable, str] = Field(default_factory=dict)
    """Set on top for a short first run; empty where there is to be none."""
    inherit: tuple[Variable, ...] = ()
    """Taken from the environment of whoever starts the night."""
    reads: tuple[str, ...] = ()
    """What else it reads: folders or files of the repository, below the home folder (`~/…`), or anywhere."""
    network: bool = False
    progress: Annotated[str, AfterValidator(_progress)] = ""
    """A regular expression with groups `step` and, where a line tells it, `loss`."""

    @property
    def pattern(self) -> re.Pattern[str]:
        """Finds the metric in a line, as its one group."""
        known = METRICS.get(self.metric)
        return re.compile(known.format(name=re.escape(self.name)) if known else self.metric)

    @property
    def steps(self) -> re.Pattern[str] | None:
        """Finds a step in a line, if there is anything to find one by."""
        text = self.progress or STEPS.get(self.metric)
        return re.compile(text) if text else None

    @property
    def higher(self) -> bool:
        """Whether the greater number is the better."""
        return self.direction == "higher"

    def profile(self, stage: str) -> Profile:
        """The budget of a stage: the script's own, whatever the stage, but for a short first run."""
        longest = self.timeout_minutes * 60
        limits = Limits(
            total_s=min(longest, SMOKE_S) if stage == "smoke" else longest,
            output_bytes=16 << 20,
            memory_bytes=psutil.virtual_memory().total,
            processes=MOST_PROCESSES,
            disk_bytes=16 << 30,
            disk_files=100_000,
        )
        return Profile(
            f"{SCRIPT}{stage}",
            "script",
            steps=0,
            window=0,
            val_tokens=0,
            baseline_bytes=0,
            limits=limits,
            max_cost=math.inf,
            max_memory=math.inf,
        )
