"""How often what was tried was kept, by lane and by paper. Pure: past experiments in."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from agent import proxy
from agent.past import Past
from agent.proxy import Share


@dataclass(frozen=True)
class Rate:
    """Keeps among the experiments of one lane, or of those that cited one paper."""

    name: str
    kept: Share
    ids: tuple[str, ...]
    """Of the experiments."""


def by_lane(experiments: Sequence[Past]) -> list[Rate]:
    """A rate for each lane, the most kept first."""
    return _rates(experiments, lambda one: [one.lane])


def by_paper(experiments: Sequence[Past]) -> list[Rate]:
    """A rate for each paper or note that was cited, the most kept first."""
    return _rates(experiments, lambda one: one.notes)


def _rates(experiments: Sequence[Past], names: Callable[[Past], Iterable[str]]) -> list[Rate]:
    groups: dict[str, list[Past]] = {}
    for one in experiments:
        for name in dict.fromkeys(names(one)):
            groups.setdefault(name, []).append(one)
    found = [
        Rate(name, proxy.share(sum(one.kept for one in those), len(those)), tuple(one.id for one in those))
        for name, those in groups.items()
    ]
    return sorted(found, key=lambda rate: (-rate.kept.count, rate.kept.of, rate.name))
