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
from threading import Event, RLock

from agent import proposal, purse
from agent.attempt import Champion, candidate_tree
from agent.background import Background, in_background
from agent.calls import Drafted
from agent.desk import Desk, Standing
from agent.dialogue import Dialogue
from agent.journal import Journal
from agent.lab import Lab, Subject
from agent.night import Researcher
from agent.proposal import Proposal
from agent.records import Experiment
from agent.researchers import Queue
from agent.tree import syntax_key
from bench import clock, files
from bench.errors import Closed, Interrupted, ModelError, Outage, ProposalError, Refusal, RunFailed

AHEAD = 2
"""Proposals for each slot that may wait for their turn, in the queue, ready or in smoke, before no other is begun."""
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


@dataclass
class Author:
    """Claude as a researcher: after `queue`, and with `filler` having its turn while nothing is ready."""

    desk: Desk
    lab: Lab
    until: float
    """On the clock that runs while the machine sleeps: nothing is waited for after this."""
    most: int
    """Experiments of the night."""
    say: Callable[[str], None]
    stop: Event
    queue: Queue | None = None
    filler: Researcher | None = None
    background: Background = in_background
    lock: RLock = field(default_factory=RLock)
    """Over all that follows."""
    standing: Standing | None = None
    taken: int = 0
    """Experiments decided, and those under way that nobody here wrote."""
    others: list[Proposal] = field(default_factory=list)
    """The proposals of those under way."""
    queued: int = 0
    """Ideas of the queue that need nobody to write them, the one that is being tried included."""
    ready: deque[Draft] = field(default_factory=deque)
    unfinished: deque[Draft] = field(default_factory=deque)
    """To go on with: cut off by an outage, or taken back."""
    writing: Draft | None = None
    in_smoke: list[Draft] = field(default_factory=list)
    threads: "list[Future[None]]" = field(default_factory=list)
    offered: list[Draft] = field(default_factory=list)
    """Whose proposals are being tried."""
    trees: dict[str, str] = field(default_factory=dict)
    """Key of the code of each draft that fits, by its name."""
    begun: int = 0
    """Number of the last draft."""
    barren: int = 0
    outages: int = 0
    rest_until: float = 0.0
    closed: bool = False

    def next(self, champion: Champion, journal: Journal, due: Callable[[], bool] = lambda: False) -> Proposal | None:
        """The queue's next, one that is ready, or the filler's; waits where there is none and one is on its way.

        Not while an experiment is `due` to be settled.
        """
        with self.lock:
            self._mend(journal)
            self._stand(champion, journal)
        self._look_after_threads()
        if self.queue and (first := self.queue.next(champion, journal)):
            self.begin(champion, journal)
            return first
        while True:
            with self.lock:
                if draft := self._fitting(champion, journal):
                    self.offered.append(draft)
                self.begin(champion, journal)
            if draft and draft.proposal:
                return signed(draft.proposal, journal)
            if self.filler and (offer := self.filler.next(champion, journal, due)):
                return offer
            if due() or clock.through_sleep() >= self.until or not (self.threads or self._resting()):
                return None
            self._wait()
            self._look_after_threads()

    def begin(self, champion: Champion, journal: Journal) -> None:
        """Say where things stand, and have the next draft begun if there is room for it."""
        with self.lock:
            self._stand(champion, journal)
            self._begin()

    def take_up(self, journal: Journal) -> None:
        """Have what was drafted before the night was cut tried first, with nothing asked anew."""
        for one in journal.untried:
            champion = Champion(one.champion, self.desk.repo.trainer(one.champion))
            self.ready.append(Draft(one.draft, champion, proposal=proposal.decode(one.proposal)))

    def close(self) -> None:
        """Stop what is under way, and give its calls the time to be settled."""
        self.stop.set()
        for thread in [*self.threads]:
            with suppress(TimeoutError):
                thread.exception(timeout=CLOSING_S)

    def _stand(self, champion: Champion, journal: Journal) -> None:
        mine, begun = {one.name for one in self.offered}, [proposal.decode(one.proposal) for one in journal.begun]
        self.others = [one for one in begun if not one.authored or one.authored.draft not in mine]
        self.taken = len(self.others) + sum(one.source != "baseline" for one in journal.experiments)
        self.queued = len(self.queue.waiting(journal)) if self.queue else 0
        self.standing = Standing(champion, journal.in_segment())

    def _begin(self) -> None:
        """Begin or go on with a draft, where none is being written and not enough are waiting."""
        waiting = [*self.ready, *self.in_smoke, *self.offered]
        ahead = len(self.ready) + len(self.in_smoke) + max(self.queued - 1, 0)
        most_ahead = AHEAD * self.lab.bench.capacity
        enough = ahead >= most_ahead or self.taken + self.queued + len(waiting) >= self.most
        if self.writing or self.standing is None or self.closed or self._resting() or enough or self.stop.is_set():
            return
        draft = self.unfinished.popleft() if self.unfinished else Draft(self._new_name(), self.standing.champion)
        in_hand = [*self.others, *(one.proposal for one in waiting if one.proposal)]
        standing = replace(self.standing, in_hand=in_hand)
        self.writing = draft
        self.threads.append(self.background(lambda: self._work(draft, standing)))

    def _new_name(self) -> str:
        names = [path.name for path in self.desk.folder.glob("d*.jsonl")]
        numbers = [int(found[1]) for name in names if (found := re.match(r"d(\d+)", name))]
        self.begun = max([*numbers, self.begun]) + 1
        return f"d{self.begun:04d}"

    def _wait(self) -> None:
        if self.stop.is_set():
            raise Interrupted("stopped while waiting for a proposal")
        busy = [one for one in self.threads if not one.done()]
        if busy:
            with suppress(TimeoutError):
                busy[0].exception(timeout=TICK_S)
        else:
            clock.sleep(TICK_S)

    def _look_after_threads(self) -> None:
        """Forget those that have ended; what one of them died of ends the night."""
        for thread in [one for one in self.threads if one.done()]:
            self.threads.remove(thread)
            thread.result()

    def _resting(self) -> bool:
        return not self.closed and clock.monotonic() < self.rest_until

    def _rest(self, times: int, asked: float | None, why: str) -> None:
        seconds = min(max(asked or 0.0, REST_S * 2.0 ** (times - 1)), LONGEST_REST_S)
        self.rest_until = clock.monotonic() + seconds
        self.say(f"{why}; Claude is asked again in {seconds:.0f} s, and the night goes on")

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
        """Take back the proposals that were tried, if they crashed and may be mended."""
        begun = [proposal.decode(one.proposal) for one in journal.begun]
        under_way = {one.authored.draft for one in begun if one.authored}
        decided = {one.authored.draft: one for one in journal.experiments if one.authored}
        tried = [draft for draft in self.offered if draft.name not in under_way]
        self.offered = [draft for draft in self.offered if draft.name in under_way]
        for draft in tried:
            last = decided.get(draft.name)
            if draft.dialogue and last and last.status == "crash" and draft.dialogue.take_back(failure(last)):
                self.unfinished.append(draft)

    # What follows runs in other threads.

    def _work(self, draft: Draft, standing: Standing) -> None:
        """Go on with a draft until it has a proposal, or something says why not yet; then begin the next."""
        error: ModelError | None = None
        try:
            dialogue = self._dialogue(draft, standing)
            try:
                draft.proposal = dialogue.proposal(lambda found: self._try(draft, found, standing))
            except (Outage, Closed):
                raise
            except ModelError as why:
                draft.proposal = dialogue.given_up(why)
        except ModelError as why:
            error = why
        except Interrupted:
            if self.stop.is_set():
                return
        with self.lock:
            self._leave(draft)
            self._take_in(draft, error)
            self._begin()

    def _dialogue(self, draft: Draft, standing: Standing) -> Dialogue:
        if draft.dialogue is None:
            draft.dialogue = self.desk.open(draft.name, standing)
            task = draft.dialogue.task
            self.say(f"  Claude writes {draft.name} ({task.arm}): {task.title}")
        elif draft.champion.sha != standing.champion.sha:
            self.desk.move(draft.dialogue, standing.champion)
        draft.champion = standing.champion
        return draft.dialogue

    def _try(self, draft: Draft, found: Proposal, standing: Standing) -> None:
        """All that can be known before its turn: whether it fits, is new, and comes through smoke. Raises Refusal.

        While the slot is waited for the next draft is written.
        """
        champion = standing.champion.tree
        changed = candidate_tree(found, champion, self.desk.size, standing.decided)
        key = syntax_key(changed)
        with self.lock:
            if other := next((name for name, tree in self.trees.items() if tree == key and name != draft.name), None):
                raise ProposalError("already_tried", f"the same code is in {other}, which has its turn soon")
            self.trees[draft.name] = key
            draft.proposal = found
            self._journal(draft)
            self._leave(draft)
            self.in_smoke.append(draft)
            self._begin()
        label = f"{draft.name} {found.title}"
        self.lab.smoke_ahead(Subject("candidate", changed, label, parent=files.tree_key(champion)), champion)

    def _journal(self, draft: Draft) -> None:
        assert draft.proposal
        found = proposal.encode(draft.proposal)
        self.lab.journal.append(
            Drafted(timestamp=clock.now_ms(), draft=draft.name, champion=draft.champion.sha, proposal=found)
        )

    def _leave(self, draft: Draft) -> None:
        """Be neither in writing nor in smoke any more."""
        if self.writing is draft:
            self.writing = None
        if draft in self.in_smoke:
            self.in_smoke.remove(draft)

    def _take_in(self, draft: Draft, error: ModelError | None) -> None:
        if isinstance(error, Closed):
            if not self.closed:
                self.say(f"Claude is not asked any more this night: {error}")
            self.closed = True
        elif isinstance(error, Outage):
            self.unfinished.appendleft(draft)
            if not self._resting():
                self.outages += 1
                self._rest(self.outages, error.retry_after, str(error))
        else:
            self.ready.append(draft)
            self.outages = 0
            self.barren = self.barren + 1 if draft.proposal and draft.proposal.refused else 0
            if self.barren >= BARREN:
                self._rest(self.barren - BARREN + 1, None, f"{self.barren} drafts in a row came to nothing")


def signed(found: Proposal, journal: Journal) -> Proposal:
    """The proposal with what its conversation has taken, since its last experiment where it had one."""
    assert found.authored
    usage, usd = purse.of_draft(journal.records, found.authored.draft)
    return replace(found, authored=found.authored.model_copy(update={"usage": usage, "usd": usd}))


def failure(experiment: Experiment) -> Refusal:
    """What a crashed experiment ended with."""
    log = next((run.log for run in reversed(experiment.runs) if run.reason and run.role == "candidate"), "")
    return RunFailed(experiment.reason, experiment.detail, log)
