"""The researcher that has Claude write proposals, ahead of the bench, so that the bench never waits for a word.

While runs are under way another thread drafts what comes next: it asks, makes the edits, checks them without running
anything, and has the smoke run take the next free slot. The night's own thread only ever takes what is ready. When the
champion has moved in the meantime the edits are made in the new one, and what no longer fits goes back with the reason;
so does what crashed. While Claude is out, somebody else's ideas are tried.
"""

import re
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import Event, Thread

from agent import purse
from agent.attempt import Champion, candidate_tree
from agent.desk import Desk, Standing
from agent.dialogue import Dialogue
from agent.journal import Journal
from agent.lab import Lab, Subject
from agent.night import Researcher
from agent.proposal import Proposal
from agent.records import Experiment
from agent.tree import syntax_key
from bench import clock, files
from bench.errors import Closed, Interrupted, ModelError, Outage, ProposalError, Refusal, RunFailed

AHEAD = 2
"""Proposals kept ready."""
TICK_S = 0.5
REST_S, LONGEST_REST_S = 60.0, 900.0
"""Between two attempts while Claude is out: twice as long each time."""
BARREN = 3
"""Drafts in a row without a proposal, after which there is a rest as well."""
CLOSING_S = 5.0


@dataclass
class Draft:
    """A conversation, what came of it, and the champion that it was about."""

    name: str
    champion: Champion
    dialogue: Dialogue | None = None
    proposal: Proposal | None = None
    error: ModelError | None = None
    """Why there is no proposal yet."""


Background = Callable[[Callable[[], Draft]], "Future[Draft]"]


def in_background(work: Callable[[], Draft]) -> "Future[Draft]":
    """Do `work` in a thread that does not keep the process from ending."""
    future: Future[Draft] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # whoever takes the result gets it
            future.set_exception(error)

    Thread(target=run, name="author", daemon=True).start()
    return future


@dataclass
class Author:
    """Claude as a researcher; `filler` has its turn while nothing is ready."""

    desk: Desk
    lab: Lab
    until: float
    """On the monotonic clock: nothing is waited for after this."""
    most: int
    """Experiments of the night."""
    say: Callable[[str], None]
    stop: Event
    filler: Researcher | None = None
    background: Background = in_background
    ready: deque[Draft] = field(default_factory=deque)
    unfinished: deque[Draft] = field(default_factory=deque)
    under_way: "Future[Draft] | None" = None
    offered: Draft | None = None
    """Whose proposal is being tried."""
    trees: dict[str, str] = field(default_factory=dict)
    """Key of the code of each draft that came through smoke, by its name."""
    barren: int = 0
    outages: int = 0
    rest_until: float = 0.0
    closed: bool = False

    def next(self, champion: Champion, journal: Journal) -> Proposal | None:
        """The next proposal that is ready, or the filler's; waits only where there is neither and one is on its way."""
        self._mend(journal)
        while True:
            self._collect()
            self.offered = self._fitting(champion, journal)
            self.begin(champion, journal)
            if self.offered and self.offered.proposal:
                return signed(self.offered.proposal, journal)
            if self.filler and (offer := self.filler.next(champion, journal)):
                return offer
            if clock.monotonic() >= self.until or (self.under_way is None and not self._resting()):
                return None
            self._wait()

    def begin(self, champion: Champion, journal: Journal) -> None:
        """Set the other thread to work, if it is free and there is something to do."""
        in_hand = [*self.ready, *([self.offered] if self.offered else [])]
        decided = sum(one.source != "baseline" for one in journal.experiments)
        enough = len(self.ready) >= AHEAD or decided + len(in_hand) >= self.most
        if self.under_way or self.closed or self._resting() or enough:
            return
        draft = self.unfinished.popleft() if self.unfinished else Draft(self._new_name(), champion)
        standing = Standing(champion, journal.in_segment(), [one.proposal for one in in_hand if one.proposal])
        self.under_way = self.background(lambda: self._work(draft, standing))

    def close(self) -> None:
        """Stop what is under way, and give its call the time to be settled."""
        self.stop.set()
        if self.under_way:
            with suppress(TimeoutError):
                self.under_way.exception(timeout=CLOSING_S)

    def _new_name(self) -> str:
        names = [path.name for path in self.desk.folder.glob("d*.jsonl")] + [one.name for one in self.ready]
        numbers = [int(found[1]) for name in names if (found := re.match(r"d(\d+)", name))]
        return f"d{max(numbers, default=0) + 1:04d}"

    def _wait(self) -> None:
        if self.stop.is_set():
            raise Interrupted("stopped while waiting for a proposal")
        if self.under_way is None:
            clock.sleep(TICK_S)
        else:
            with suppress(TimeoutError):
                self.under_way.exception(timeout=TICK_S)

    def _resting(self) -> bool:
        return not self.closed and clock.monotonic() < self.rest_until

    def _rest(self, times: int, asked: float | None, why: str) -> None:
        seconds = min(max(asked or 0.0, REST_S * 2.0 ** (times - 1)), LONGEST_REST_S)
        self.rest_until = clock.monotonic() + seconds
        self.say(f"{why}; Claude is asked again in {seconds:.0f} s, and the night goes on")

    def _collect(self) -> None:
        """Take in what the other thread has finished."""
        if self.under_way is None or not self.under_way.done():
            return
        draft, self.under_way = self.under_way.result(), None
        if isinstance(draft.error, Closed):
            self.closed = True
            self.say(f"Claude is not asked any more this night: {draft.error}")
        elif isinstance(draft.error, Outage):
            self.unfinished.appendleft(draft)
            self.outages += 1
            self._rest(self.outages, draft.error.retry_after, str(draft.error))
        else:
            self.ready.append(draft)
            self.outages = 0
            self.barren = self.barren + 1 if draft.proposal and draft.proposal.refused else 0
            if self.barren >= BARREN:
                self._rest(self.barren - BARREN + 1, None, f"{self.barren} drafts in a row came to nothing")

    def _fitting(self, champion: Champion, journal: Journal) -> Draft | None:
        """The first that is ready and fits `champion`; what no longer fits goes back to be mended, if it may."""
        while self.ready:
            draft = self.ready.popleft()
            if draft.champion.sha == champion.sha or not draft.proposal or not draft.dialogue:
                return draft
            try:
                candidate_tree(draft.proposal, champion.tree, self.desk.size, journal.in_segment())
            except ProposalError as refusal:
                if draft.dialogue.take_back(refusal):
                    self.unfinished.append(draft)
                    continue
            return draft
        return None

    def _mend(self, journal: Journal) -> None:
        """Take back the proposal tried last, if it crashed and may be mended."""
        draft, self.offered = self.offered, None
        last = journal.experiments[-1] if journal.experiments else None
        if not draft or not draft.dialogue or not last or not last.authored or last.authored.draft != draft.name:
            return
        if last.status == "crash" and draft.dialogue.take_back(failure(last)):
            self.unfinished.append(draft)

    # What follows runs in the other thread.

    def _work(self, draft: Draft, standing: Standing) -> Draft:
        """Go on with a draft until it has a proposal, or an error that says why not yet."""
        draft.error = None
        try:
            dialogue = self._dialogue(draft, standing)
            try:
                draft.proposal = dialogue.proposal(lambda found: self._try(draft, found, standing))
            except (Outage, Closed):
                raise
            except ModelError as error:
                draft.proposal = dialogue.given_up(error)
        except ModelError as error:
            draft.error = error
        except Interrupted:
            draft.error = Closed("the night was stopped")
        return draft

    def _dialogue(self, draft: Draft, standing: Standing) -> Dialogue:
        if draft.dialogue is None:
            task = self.desk.task(draft.name, standing)
            self.say(f"  Claude writes {draft.name} ({task.arm}): {task.title}")
            draft.dialogue = self.desk.open(draft.name, task, standing)
        elif draft.champion.sha != standing.champion.sha:
            self.desk.move(draft.dialogue, standing.champion)
        draft.champion = standing.champion
        return draft.dialogue

    def _try(self, draft: Draft, found: Proposal, standing: Standing) -> None:
        """All that can be known before its turn: whether it fits, is new, and comes through smoke. Raises Refusal."""
        champion = standing.champion.tree
        changed = candidate_tree(found, champion, self.desk.size, standing.decided)
        key = syntax_key(changed)
        if other := next((name for name, tree in self.trees.items() if tree == key and name != draft.name), None):
            raise ProposalError("already_tried", f"the same code is in {other}, which has its turn soon")
        label = f"{draft.name} {found.title}"
        self.lab.smoke_ahead(Subject("candidate", changed, label, parent=files.tree_key(champion)), champion)
        self.trees[draft.name] = key


def signed(found: Proposal, journal: Journal) -> Proposal:
    """The proposal with what its conversation has taken so far."""
    assert found.authored
    usage, usd = purse.of_draft(journal.records, found.authored.draft)
    return replace(found, authored=found.authored.model_copy(update={"usage": usage, "usd": usd}))


def failure(experiment: Experiment) -> Refusal:
    """What a crashed experiment ended with."""
    log = next((run.log for run in reversed(experiment.runs) if run.reason and run.role == "candidate"), "")
    return RunFailed(experiment.reason, experiment.detail, log)
