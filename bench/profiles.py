"""Budgets: how long a run trains, what it is scored on, and where its limits lie.

A profile sets size, steps and limits, never knobs. A night decides on smoke, breadth and confirm; `audit` is confirm on
the sealed split and `transfer` a run one size class up, both for what a night has kept. The `x4-…` ones train for four
times the steps, for machines fast enough (`nightshift calibrate` chooses). The `short-…` ones exist so that a first
night fits a coffee break: their models are barely trained, and every place that shows one of their numbers shows that
name beside it. `golf` is for `nightshift export --submission` alone.
"""

from dataclasses import dataclass, replace

from bench.data import SplitName
from bench.errors import UsageError

SCRIPT = "script-"
"""What the profiles of a script that a person brings begin with (bench/script.py): its numbers are its own word."""
CAP_RATIO = 1.02
"""A candidate's artifact and code may take this many times the shipped baseline's bytes: bytes are never free."""


@dataclass(frozen=True)
class Limits:
    """When a run is killed: seconds of wall clock, bytes, counts."""

    setup_s: float = 60.0
    compile_s: float = 180.0
    train_s: float = 1200.0
    export_s: float = 60.0
    score_s: float = 600.0
    total_s: float = 1400.0
    """All phases of the training process together."""
    stall_s: float = 90.0
    """The longest silence within a phase."""
    output_bytes: int = 1 << 20
    memory_bytes: int = 8 << 30
    """Resident memory of all processes of a run together, and the data of each."""
    processes: int = 32
    """A compiler takes six."""
    disk_bytes: int = 1 << 30
    """What a run's folders may hold together; no file may be larger."""
    disk_files: int = 10_000

    def of(self, phase: str) -> float:
        """The limit of one of the trainer's phases, in seconds."""
        return {
            "setup": self.setup_s,
            "compile": self.compile_s,
            "train": self.train_s,
            "export": self.export_s,
        }[phase]


@dataclass(frozen=True)
class Profile:
    """One budget."""

    name: str
    size: str
    """Size class of the model, as the trainer declares it."""
    steps: int
    """Optimizer steps asked for."""
    window: int
    """Tokens a scoring window; windows do not overlap."""
    val_tokens: int
    """Targets scored, at the most: a prefix of the split."""
    baseline_bytes: int
    """Artifact plus code of the shipped trainer under this profile, as scripts/measure_caps.py found them."""
    limits: Limits = Limits()
    max_cost: float = 1.10
    """The most CPU (or device) seconds a candidate's training may take, in times the champion's beside it."""
    max_memory: float = 1.25
    """The most memory a candidate may take at its peak, in times the champion's; runs of one trainer differ by 2 %."""
    check_twins: bool = False
    """Whether a run begins with a comparison of the trainer's hand-written gradients with the plain ones."""
    check_prefixes: bool = False
    """Whether a run ends with a fresh process that must give the same answers from prefixes alone, as a keep needs."""
    split: SplitName = "val"
    """What is scored: `val`, which a night searches on, or the sealed `audit`, which it never sees."""
    cap: int | None = None
    """The most bytes that artifact and code may take together, where it is not CAP_RATIO times the baseline's."""

    @property
    def max_bytes(self) -> int:
        """The most bytes that artifact and code may take together."""
        return self.cap or int(self.baseline_bytes * CAP_RATIO)

    @property
    def max_wallclock_seconds(self) -> float:
        """When the trainer itself must stop training and export; the bench kills later."""
        return self.limits.train_s * 0.9


CONFIRM = Profile(
    "confirm", "tiny", steps=72, window=256, val_tokens=131_072, baseline_bytes=494_990, check_prefixes=True
)
SHORT_CONFIRM = Profile(
    "short-confirm", "tiny", steps=20, window=256, val_tokens=16_384, baseline_bytes=441_711, check_prefixes=True
)
X4_CONFIRM = replace(CONFIRM, name="x4-confirm", steps=288, baseline_bytes=553_042)
TRANSFER = Profile("transfer", "small", steps=24, window=512, val_tokens=32_768, baseline_bytes=1_758_826)

PROFILES = {
    profile.name: profile
    for profile in (
        Profile("smoke", "tiny", steps=8, window=256, val_tokens=4_096, baseline_bytes=388_133, check_twins=True),
        Profile("breadth", "tiny", steps=24, window=256, val_tokens=32_768, baseline_bytes=451_063),
        CONFIRM,
        replace(CONFIRM, name="audit", split="audit"),
        TRANSFER,
        Profile("x4-smoke", "tiny", steps=8, window=256, val_tokens=4_096, baseline_bytes=388_133, check_twins=True),
        Profile("x4-breadth", "tiny", steps=96, window=256, val_tokens=32_768, baseline_bytes=506_137),
        X4_CONFIRM,
        replace(X4_CONFIRM, name="x4-audit", split="audit"),
        replace(TRANSFER, name="x4-transfer"),
        Profile("short-smoke", "tiny", steps=3, window=256, val_tokens=2_048, baseline_bytes=344_112, check_twins=True),
        Profile("short-breadth", "tiny", steps=10, window=256, val_tokens=16_384, baseline_bytes=403_529),
        SHORT_CONFIRM,
        replace(SHORT_CONFIRM, name="short-audit", split="audit"),
        Profile("short-transfer", "small", steps=6, window=512, val_tokens=16_384, baseline_bytes=1_384_062),
    )
}


def golf(steps: int, hours: float, size: str = "golf") -> Profile:
    """The challenge's size and cap, on the whole of the split: `hours` for training, and as much for scoring."""
    seconds = hours * 3600
    limits = Limits(
        compile_s=seconds,
        train_s=seconds,
        score_s=seconds,
        total_s=seconds + 120,
        stall_s=max(90.0, seconds / 10),
        memory_bytes=32 << 30,
    )
    return Profile(
        "golf",
        size,
        steps=steps,
        window=1024 if size == "golf" else 256,
        val_tokens=1 << 40,
        baseline_bytes=0,
        cap=16_000_000,
        limits=limits,
        check_prefixes=True,
    )


def profile(name: str) -> Profile:
    """The profile of that name."""
    if name not in PROFILES:
        raise UsageError(f"no profile {name!r}; choose one of {', '.join(PROFILES)}")
    return PROFILES[name]
