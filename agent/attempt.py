"""One experiment from proposal to verdict: apply → commit → smoke → breadth → confirm → decide."""

import contextlib
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TypeVar

from agent import cost, lab, promotion, proposal, tree, verdict
from agent.git import Repo
from agent.journal import Journal
from agent.knobs import read_knobs
from agent.lab import Lab, Subject
from agent.proposal import SETTINGS, Proposal
from agent.records import Evidence, Experiment, Run
from agent.scope import TRAINER, Scope
from agent.tree import Tree
from agent.twins import without_stale
from agent.verdict import Verdict
from agent.yardstick import Yardstick
from bench import clock, files, gate
from bench.errors import ChampionFails, ProposalError, Refusal, RunFailed
from bench.profiles import Profile

TRAILER_ID = "Nightshift-Experiment"
T = TypeVar("T")
SPARE_SEEDS = 3
"""Seeds under which the champion may fail, one after the other, before it is taken for broken."""
REPEATS = 10_000
"""Repeats of a run that are measured for an experiment's own sake begin at so many times its number."""
CANDIDATES = "refs/nightshift/candidates"
REFUSED_RESULTS = {
    *("artifact_too_large", "bad_artifact", "bad_logits", "ignores_seed", "wrong_gradient"),
    *("non_causal", "stateful", "prefix_mismatch"),
}
"""Failures of a run that is sound in itself: what it gives is refused, so the status is `checks_failed`."""


@dataclass(frozen=True)
class Champion:
    """The commit to beat."""

    sha: str
    tree: Tree


@dataclass
class Attempt:
    """What is known of an experiment so far; `record` closes it."""

    id: str
    run: int
    segment: int
    champion: Champion
    proposal: Proposal
    started: float = field(default_factory=lambda: clock.monotonic())
    tree: Tree = field(default_factory=dict)
    unjudged: Yardstick | None = None
    before: dict[str, str] = field(default_factory=dict)
    """The value in force of each knob that is changed, before the change."""
    sha: str = ""
    runs: list[Run] = field(default_factory=list)
    breadth: Evidence | None = None
    confirm: Evidence | None = None
    cost_ratio: float | None = None
    """Seconds of the candidate's training by the champion's, as last measured."""

    def record(self, outcome: Verdict) -> Experiment:
        """The journal's line."""
        idea = self.proposal
        return Experiment(
            run=self.run,
            commit=self.sha[:7],
            metric=self.confirm.yardstick.own(self.confirm.candidate_bpb) if self.confirm else 0.0,
            metrics=self._metrics(),
            status=outcome.status,
            description=idea.title,
            timestamp=clock.now_ms(),
            segment=self.segment,
            confidence=1 - self.confirm.p_value if self.confirm else None,
            asi=self._asi(),
            id=self.id,
            source=idea.source,
            idea=idea.idea,
            lane=idea.lane,
            notes=idea.notes,
            parent=self.champion.sha,
            sha=self.sha,
            tree=files.tree_key(self.tree) if self.tree else "",
            syntax=tree.syntax_key(self.tree) if self.tree else "",
            knobs=dict(idea.knobs),
            patch=tree.unified(self.champion.tree, self.tree) if self.tree else "",
            reason=outcome.reason,
            detail=outcome.detail,
            runs=tuple(self.runs),
            breadth=self.breadth,
            confirm=self.confirm,
            authored=idea.authored,
            wall_s=clock.monotonic() - self.started,
            unjudged=self.unjudged,
        )

    def _asi(self) -> dict[str, str]:
        found = {"hypothesis": self.proposal.hypothesis}
        if self.before:
            found["from"] = ", ".join(self.before.values())
        if self.proposal.authored:
            found["expected_effect"] = self.proposal.authored.expected
        return found

    def _metrics(self) -> dict[str, float]:
        found: dict[str, float] = {}
        if self.breadth:
            found["breadth_difference"] = self.breadth.yardstick.own(self.breadth.mean)
        if self.confirm:
            found["confirm_difference"] = self.confirm.yardstick.own(self.confirm.mean)
        if self.cost_ratio:
            found["cost_ratio"] = self.cost_ratio
        mine = [run for run in self.runs if run.role == "candidate" and run.reason is None]
        if mine:
            last = mine[-1]
            found |= {
                "total_bytes": last.total_bytes,
                "run_cpu_s": last.cpu_s,
                "peak_memory_mb": last.peak_memory_bytes / 1e6,
                "tokens_per_second": last.tokens_per_s,
            }
        return found


def attempt(this: Attempt, laboratory: Lab, repo: Repo, journal: Journal) -> Experiment:
    """Try one proposal against the champion and decide. A candidate's own fault is a verdict, never an error."""
    decided = journal.in_segment()
    try:
        apply_and_commit(this, repo, decided, laboratory.profile("smoke").size)
        return this.record(with_other_seeds(lambda: _measure(this, laboratory, decided)))
    except ProposalError as refusal:
        return this.record(Verdict("checks_failed", refusal.reason, refusal.detail))
    except RunFailed as failure:
        refused = failure.reason in REFUSED_RESULTS
        return this.record(Verdict("checks_failed" if refused else "crash", failure.reason, failure.detail))


def measure_ahead(this: Attempt, laboratory: Lab, repo: Repo, decided: Sequence[Experiment]) -> bool:
    """Have the runs measured that `attempt` will ask for, as far as can be told from what is `decided` by now.

    What a candidate's own fault is, `attempt` finds again. Returns whether it `hinges` on its champion.
    """
    size = laboratory.profile("smoke").size
    try:
        this.tree = candidate_tree(this.proposal, this.champion.tree, size, decided, repo.scope)
        found = with_other_seeds(lambda: _measure(this, laboratory, decided, ahead=True))
    except Refusal:
        return hinges("checks_failed", this.runs)
    return hinges(found.status, this.runs)


def hinges(status: str, runs: Sequence[Run]) -> bool:
    """Whether another champion has it judged anew: what passed does, and what did not fit; the rest stands."""
    return status == "keep" or not runs


def apply_and_commit(this: Attempt, repo: Repo, decided: Sequence[Experiment], size: str) -> None:
    """Put the proposal into the champion's tree and store it as a commit that no branch knows of.

    Raises ProposalError, before any compute is spent, for what does not apply, is refused by its text alone, changes
    nothing, or was tried already.
    """
    changed = candidate_tree(this.proposal, this.champion.tree, size, decided, repo.scope)
    in_force = read_knobs(this.champion.tree.get(SETTINGS, b"")).in_force
    this.before = {name: repr(in_force(name, size)) for name, _ in this.proposal.knobs}
    this.tree = changed
    this.sha = repo.write_commit(this.champion.sha, changed, message(this.proposal, f"{TRAILER_ID}: {this.id}"))
    repo.point(f"{CANDIDATES}/{this.id}", this.sha)


def candidate_tree(
    tried: Proposal, champion: Tree, size: str, decided: Sequence[Experiment], scope: Scope = TRAINER
) -> dict[str, bytes]:
    """The champion's files with the proposal in them. Raises ProposalError as `apply_and_commit` does.

    The gate knows what a trainer is; what a script of a person's may hold is that person's business.
    """
    proposed = proposal.apply(tried, champion, size, scope)
    if scope == TRAINER:
        gate.check(proposed, champion)
    changed = without_stale(champion, proposed)
    syntax = tree.syntax_key(changed)
    if syntax == tree.syntax_key(champion):
        raise ProposalError("no_change", "the champion is like this already")
    for other in decided:
        if syntax == other.syntax:
            raise ProposalError("already_tried", f"the same code was {other.id}: {other.status}, {other.detail}")
    return changed


def _measure(this: Attempt, laboratory: Lab, before: Sequence[Experiment], *, ahead: bool = False) -> Verdict:
    """Smoke, breadth and as many confirm pairs as the verdict needs, knowing what was decided `before`."""
    this.runs.clear()  # of a try under a seed where the champion failed
    this.breadth = this.confirm = this.cost_ratio = None
    champion = laboratory.champion(this.champion.tree, this.run, f"{this.id} champion {this.champion.sha[:7]}")
    parent = files.tree_key(this.champion.tree)
    candidate = Subject("candidate", this.tree, f"{this.id} {this.proposal.title}", parent=parent)

    def run(budget: Profile, subjects: Sequence[Subject], first: int, count: int) -> list[Run]:
        seeds = laboratory.seeds(champion.tree, budget, first + count)[first:]
        runs = laboratory.run(subjects, budget, seeds, ahead=ahead)
        this.runs += runs
        return runs

    def over_budget(budget: Profile, runs: Sequence[Run]) -> Verdict | None:
        """A refusal where the candidate cost too much in `runs` and does so beside the champion, measured afresh."""
        beside = replace(champion, tree=cost.rival(this.champion.tree, this.tree), parent=parent)

        def again(look: int) -> float | None:
            subjects = [replace(one, repeat=REPEATS * this.run + look) for one in (candidate, beside)]
            with laboratory.undisturbed:
                pair = laboratory.run(subjects, budget, laboratory.seeds(champion.tree, budget, 1), ahead=ahead)
            lab.check(pair)
            return cost.ratio(pair)

        this.cost_ratio, refused = cost.over_budget(budget.max_cost, cost.ratio(runs), again)
        return refused

    if laboratory.smokes:
        lab.check(run(laboratory.profile("smoke"), [candidate], 0, 1))

    experience, lane = laboratory.experience(before), this.proposal.lane
    noise = experience.noise("confirm", lane)
    breadth = laboratory.profile("breadth")
    runs = run(breadth, [candidate, champion], 0, promotion.BREADTH_PAIRS)
    this.breadth = verdict.weigh(breadth.name, lab.pairs(runs), experience.noise("breadth", lane), this.unjudged)
    this.cost_ratio = cost.ratio(runs)
    lab.check_seeds(runs)
    dropped = promotion.gate(this.breadth, experience.promotion(), noise, this.id)
    if dropped := dropped or cost.over_memory(breadth.max_memory, runs) or over_budget(breadth, runs):
        return dropped

    confirm = laboratory.profile("confirm")
    runs = []
    for first, count in pairwise((0, *verdict.LOOKS)):
        runs += run(confirm, [candidate, champion], first, count - first)
        this.confirm = verdict.weigh(confirm.name, lab.pairs(runs), noise, this.unjudged)
        lab.check_seeds(runs)
        if decided := verdict.decide(this.confirm):
            if decided.status != "keep":
                return decided
            # Only a keep is worth a second look: what costs more at these steps alone would slip through breadth.
            return cost.over_memory(confirm.max_memory, runs) or over_budget(confirm, runs) or decided
    raise AssertionError("the last look decides")


def with_other_seeds(measure: Callable[[], T]) -> T:
    """What `measure` gives. Where the champion fails under a seed it is done again, and that seed passed over.

    Raises ChampionFails where it fails under SPARE_SEEDS more: then it is not the seed.
    """
    for _ in range(SPARE_SEEDS):
        with contextlib.suppress(ChampionFails):
            return measure()
    return measure()


def keep(experiment: Experiment, this: Attempt, repo: Repo) -> Experiment:
    """The kept experiment with its commit written again, now that before and after are known.

    Its ref holds it too, whatever becomes of the branch.
    """
    assert experiment.confirm is not None
    trailers = (
        f"{TRAILER_ID}: {experiment.id}",
        f"Nightshift-Idea: {experiment.idea or experiment.source}",
        f"Nightshift-Profile: {experiment.confirm.profile}, {len(experiment.confirm.pairs)} seeds",
        *_before_and_after(experiment.confirm),
    )
    sha = repo.write_commit(experiment.parent, this.tree, message(this.proposal, *trailers))
    repo.point(f"{CANDIDATES}/{experiment.id}", sha)
    return experiment.model_copy(update={"sha": sha, "commit": sha[:7]})


def _before_and_after(evidence: Evidence) -> tuple[str, str]:
    yardstick, means = evidence.yardstick, (evidence.champion_bpb, evidence.candidate_bpb)
    before, after = (f"{yardstick.own(mean):.6f}" for mean in means)
    if yardstick.judged:
        return f"Val-Bpb-Before: {before}", f"Val-Bpb-After: {after}"
    return f"Unjudged-Before: {yardstick.name} {before}", f"Unjudged-After: {yardstick.name} {after}"


def message(tried: Proposal, *trailers: str) -> str:
    """A commit message: title, hypothesis, trailers."""
    return "\n\n".join((tried.title, textwrap.fill(tried.hypothesis, 72), "\n".join(trailers))) + "\n"
