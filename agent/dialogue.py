"""One conversation with Claude, from a task to a proposal that fits, or to the reason why there is none.

The program drives: it asks, looks up what it is asked for, tries what is proposed, and says what is wrong with it.
Every way in which an answer can end is counted and bounded, and an answer that did not come whole is thrown away whole.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from agent import prompt, toolbox
from agent.arms import Task
from agent.calls import Authored
from agent.claude import Answer, Block, Question
from agent.ideas import LANE
from agent.proposal import Proposal
from agent.toolbox import Toolbox
from bench import files
from bench.errors import ModelError, NightshiftError, ProposalError, Refusal

REPAIRS = 2
"""After the first proposal, how many more are taken in its place."""
MISHAPS = 3
"""Answers that were refused, cut short, garbled or empty before the conversation is given up."""
MOST_ANSWERS = 14
FIVE_MINUTES = {"type": "ephemeral"}


class Model(Protocol):
    """Whoever answers: Claude, or a scripted one in tests."""

    def answer(self, question: Question, draft: str) -> Answer:
        """A whole answer; raises ModelError."""


Trial = Callable[[Proposal], None]
"""Checks a proposal, and raises the Refusal that its experiment would end with."""


@dataclass
class Dialogue:
    """A draft: what was said so far, and what came of it."""

    name: str
    task: Task
    system: Sequence[Block]
    tools: Sequence[Block]
    opening: str
    box: Toolbox
    closed: Collection[str]
    """Lanes that have had their turns."""
    model: Model
    model_name: str
    path: Path
    """Of the transcript."""
    messages: list[Block] = field(default_factory=list)
    handed_in: str = ""
    """Id of the call of `propose` that is not answered yet."""
    failures: int = 0
    """Proposals that were handed in and failed."""
    mishaps: int = 0
    failed: Proposal | None = None
    """The last of them that could be read."""

    def proposal(self, trial: Trial) -> Proposal:
        """Go on until a proposal passes `trial`, or may not be mended any more, or none comes.

        What fails to the last is returned all the same, so that its experiment says why. Raises what asking raises, and
        goes on from there when called again.
        """
        if not self.messages:
            self._begin()
        for _ in range(MOST_ANSWERS):
            try:
                found = self._turn(trial)
            except _Failed as error:
                self.failed = error.proposal or self.failed
                self.failures += 1
                if self.failures > REPAIRS:
                    return self.given_up(error.refusal)
                self._tell_why(error.refusal)
            except _Mishap as error:
                self.mishaps += 1
                if self.mishaps >= MISHAPS:
                    return self.given_up(error)
                self._say("user", f"{error} That answer was thrown away whole. Call `propose`, and be brief.")
            else:
                if found:
                    return self._signed(found)
        return self.given_up(ModelError(f"There was none in {MOST_ANSWERS} answers."))

    def given_up(self, why: NightshiftError) -> Proposal:
        """The last proposal that failed, or one that only says why there was none, so that the journal tells it."""
        refusal = why if isinstance(why, ProposalError) else ProposalError("no_proposal", str(why))
        return self._signed(self.failed or self._nothing(refusal))

    def take_back(self, refusal: Refusal) -> bool:
        """Say that what was handed in failed after all; whether it may be mended, by calling `proposal` again."""
        if not self.handed_in:
            return False
        self.failures += 1
        if self.failures > REPAIRS:
            return False
        self._tell_why(refusal)
        return True

    def _begin(self) -> None:
        """Keep what the transcript begins from, once for all that begin from the same, and say the first word."""
        stable = json.dumps({"system": self.system, "tools": self.tools}, ensure_ascii=False).encode()
        name = f"system-{hashlib.sha256(stable).hexdigest()[:12]}.json"
        if not (self.path.parent / name).exists():
            files.write_atomic(self.path.parent / name, stable)
        self._note({"draft": self.name, "arm": self.task.arm, "system": name, "model": self.model_name})
        self._say("user", self.opening)

    def _turn(self, trial: Trial) -> Proposal | None:
        """One answer, and what it asks for. Raises _Failed and _Mishap."""
        answer = self.model.answer(Question(self.system, self.tools, self._cached()), self.name)
        self._note(
            {"role": "assistant", "content": answer.blocks, "stop_reason": answer.stop_reason}
            | {"usage": answer.usage.model_dump(), "usd": answer.usd}
        )
        calls = [block for block in answer.blocks if block["type"] == "tool_use"]
        if answer.stop_reason not in ("tool_use", "end_turn"):
            raise _Mishap(f"The answer ended with {answer.stop_reason}.")
        if not calls:
            raise _Mishap("There was no call of a tool in the answer.")
        self.messages.append({"role": "assistant", "content": answer.blocks})
        handed_in = next((call for call in calls if call["name"] == "propose"), None)
        results = [self._looked_up(call) for call in calls if call is not handed_in]
        if handed_in is None:
            self._say("user", results)
            return None
        self.handed_in = handed_in["id"]
        self.messages.append({"role": "user", "content": results})  # completed by whatever answers the proposal
        return self._tried(handed_in["input"], trial)

    def _tried(self, given: Mapping[str, Any], trial: Trial) -> Proposal:
        found: Proposal | None = None
        try:
            whole_files = self.failures >= REPAIRS
            found = toolbox.as_proposal(given, self.task, self.box.champion, self.closed, whole_files=whole_files)
            found = replace(found, authored=self._authored(toolbox.foretold(given)))
            trial(found)
        except Refusal as refusal:
            raise _Failed(refusal, found) from refusal
        return found

    def _looked_up(self, call: Block) -> Block:
        if call["name"] == "propose":
            return _result(call["id"], "one proposal at a time: only the first of them was looked at", error=True)
        text, error = self.box.look_up(call["name"], call["input"])
        return _result(call["id"], text, error=error)

    def _tell_why(self, refusal: Refusal) -> None:
        """Answer the call of `propose` with what is wrong."""
        words = prompt.repair(
            self.box.repo.root, f"{refusal.reason}: {refusal.detail}", refusal.log, REPAIRS + 1 - self.failures
        )
        earlier = self.messages.pop()["content"]
        self._say("user", [*earlier, _result(self.handed_in, words, error=True)])
        self.handed_in = ""

    def _cached(self) -> list[Block]:
        """The messages, with a mark up to which the server may keep them."""
        *earlier, last = self.messages
        content = last["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else [*content]
        return [*earlier, {**last, "content": [*blocks[:-1], {**blocks[-1], "cache_control": FIVE_MINUTES}]}]

    def _say(self, role: str, content: str | list[Block]) -> None:
        said = {"role": role, "content": content}
        self.messages.append(said)
        self._note(said)

    def _note(self, said: Mapping[str, Any]) -> None:
        files.append_line(self.path, json.dumps(said, ensure_ascii=False))

    def _authored(self, expected: str) -> Authored:
        return Authored(draft=self.name, arm=self.task.arm, expected=expected, model=self.model_name)

    def _signed(self, found: Proposal) -> Proposal:
        """The proposal with how often it was mended."""
        authored = found.authored or self._authored("")
        return replace(found, authored=authored.model_copy(update={"repairs": min(self.failures, REPAIRS)}))

    def _nothing(self, refusal: ProposalError) -> Proposal:
        """What stands for a task that no proposal came of."""
        task = self.task
        lanes = [task.idea.lane] if task.idea else [note.front.lane for note in task.notes]
        return Proposal(
            title=task.title,
            hypothesis=task.idea.text if task.idea and task.idea.text else task.title,
            source="claude",
            lane=next(iter(lanes), LANE),
            idea=task.idea.slug if task.idea else None,
            notes=tuple(note.key for note in task.notes),
            refused=refusal,
        )


class _Failed(Exception):
    def __init__(self, refusal: Refusal, proposal: Proposal | None) -> None:
        super().__init__(refusal)
        self.refusal, self.proposal = refusal, proposal


class _Mishap(ModelError):
    """An answer that nothing could be made of."""


def _result(call: str, text: str, *, error: bool) -> Block:
    return {"type": "tool_result", "tool_use_id": call, "content": text, "is_error": error}
