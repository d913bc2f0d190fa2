"""What the number that a night compares is called, which way it is better, and whether the bench measured it.

Wherever two numbers are compared, less is better: of a metric that is to rise the journal's runs and pairs hold the
negative. A person is shown it as the script prints it, by `own`.
"""

from agent.line import Record
from bench.profiles import SCRIPT
from bench.script import Script

UNJUDGED = "unjudged: these numbers are the script's own word; the bench ran it, and measured none of them"


class Yardstick(Record):
    """The metric of a night; `val_bpb`, measured by the bench, where nothing else is said."""

    name: str = "val_bpb"
    higher: bool = False
    """Whether the greater number is the better."""
    judged: bool = True

    def own(self, value: float) -> float:
        """A compared number, or a difference of two, with the sign that a person knows."""
        return 0.0 - value if self.higher else value

    @property
    def better(self) -> str:
        """Where a difference is better."""
        return "above" if self.higher else "below"

    @property
    def called(self) -> str:
        """The metric's name, labelled where it is nobody's measurement."""
        return self.name if self.judged else f"{self.name} (unjudged)"

    @property
    def delta(self) -> str:
        """What a difference is, where below zero is better whatever the metric."""
        if self.judged:
            of = "a bit per byte of the exported, reloaded model"
            return f"Δ is candidate minus champion under the same seed, in thousandths of {of}: below zero is better."
        of = "champion minus candidate" if self.higher else "candidate minus champion"
        return f"Δ is {of}, in {self.thousandths}: below zero is better."

    @property
    def thousandths(self) -> str:
        """What a difference is told in."""
        return "thousandths of a bit per byte" if self.judged else f"thousandths of {self.called}"


BITS = Yardstick()


def of_script(script: Script) -> Yardstick:
    """What a script says of its metric."""
    return Yardstick(name=script.name, higher=script.higher, judged=False)


def labelled(profile: str) -> str:
    """A profile's name, with the label where it needs one."""
    return f"{profile} (unjudged)" if unjudged(profile) else profile


def unjudged(profile: str) -> bool:
    """Whether what was run under a profile of that name is a script's own word."""
    return profile.startswith(SCRIPT)
