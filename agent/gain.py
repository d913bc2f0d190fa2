"""What a kept change gained: the pairs that won were picked for being good, so it is measured once more."""

from dataclasses import replace

from agent import lab, verdict
from agent.attempt import with_other_seeds
from agent.git import Repo
from agent.lab import Lab
from agent.records import Experiment, Regained, Run
from bench import clock
from bench.errors import ChampionFails, RunFailed


def regain(kept: Experiment, laboratory: Lab, repo: Repo) -> Regained:
    """Measure a kept change against the champion it replaced, on seeds that had no part in its being kept.

    They are the first that later candidates meet it under, so that its own runs serve again.
    """
    return with_other_seeds(lambda: _regain(kept, laboratory, repo))


def _regain(kept: Experiment, laboratory: Lab, repo: Repo) -> Regained:
    runs = fresh_runs(kept, laboratory, repo)
    noise = laboratory.experience(laboratory.journal.in_segment()).noise("confirm", kept.lane)
    try:
        evidence = verdict.weigh(runs[0].profile, lab.pairs(runs), noise, laboratory.header.unjudged)
    except RunFailed as failure:  # the kept change is in the champion now
        raise ChampionFails(str(failure)) from failure
    return Regained(timestamp=clock.now_ms(), id=kept.id, evidence=evidence)


def fresh_runs(kept: Experiment, laboratory: Lab, repo: Repo, *, ahead: bool = False) -> list[Run]:
    """The runs that `regain` weighs; with `ahead` another thread asks for them."""
    confirm, champion, parent = laboratory.profile("confirm"), repo.trainer(kept.sha), repo.trainer(kept.parent)
    label = f"{kept.id} regained"
    subjects = [
        replace(laboratory.champion(champion, kept.run + 1, label), role="candidate"),
        laboratory.champion(parent, kept.run + 1, f"{label} by {kept.parent[:7]}"),
    ]
    seeds = laboratory.seeds(champion, confirm, verdict.FRESH_PAIRS, parent)
    return laboratory.run(subjects, confirm, seeds, ahead=ahead)
