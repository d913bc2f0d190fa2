"""A night of drafts, written down answer by answer for aimock: all that an answer can be, and how a draft must end."""

import os
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

from agent.settings import SHIPPED
from tests.fakes.aimock import Aimock, Fixture

TRAIN, SETTINGS, MODEL = (f"trainer/{name}.py" for name in ("train", "settings", "model"))
LEFTOVER = "LEFTOVER"
"""Stands in every change that must never be measured: of an answer thrown away, or beside an edit that did not fit."""
NEVER = (TRAIN, "def main() -> int:", f'{LEFTOVER} = "nobody must see this"\n\n\ndef main() -> int:')
MISFIT = (TRAIN, "def train_everything() -> int:", "def main() -> int:")
AT_START = '    behaviour = knob("BEHAVIOUR")\n'
STEPS = '    steps, out = int(os.environ["ITERATIONS"]), Path(os.environ["RUN_DIR"])\n'
IDEAS = """# The queue

## Half of the rest

Whatever QUALITY says, go half of the way that is left to the measured distribution.

lane: training

## What nobody can write

Make the unigram model understand the text.
"""
EXPERIMENTS = 24
UNSCRIPTED: Fixture = {
    "match": {},
    "response": {"error": {"message": "nothing is scripted for this", "type": "authentication_error"}, "status": 401},
}
"""Ends the night at once where it asks for what it should not, and not by waiting."""

Call = Mapping[str, Any]
EditText = tuple[str, str, str]


def tool(call: str, name: str, given: object) -> Call:
    return {"id": call, "name": name, "arguments": given}


def propose(
    call: str, title: str, lane: str, *edits: EditText, knobs: Mapping[str, object] | None = None, **more: object
) -> Call:
    """A call of `propose` that holds all it must."""
    told: dict[str, object] = {
        "title": title,
        "hypothesis": f"{title}, which shows in the score or does not.",
        "expected": {"thousandths": -2, "because": "the unigram model says so"},
        "lane": lane,
    }
    if edits:
        told["edits"] = [{"path": path, "old": old, "new": new} for path, old, new in edits]
    return tool(call, "propose", told | ({"knobs": knobs} if knobs else {}) | more)


def worse(call: str, quality: float, lane: str) -> Call:
    """A proposal that is sound and measures worse than its champion: the cheapest verdict there is."""
    return propose(call, f"Quality {quality}", lane, knobs={"QUALITY": quality})


@dataclass
class Script:
    """What is answered to whom. Each answer is given once, and takes tokens of its own."""

    fixtures: list[Fixture] = field(default_factory=list)
    tokens: list[tuple[int, int]] = field(default_factory=list)
    """Of each answer that begins: what went in, and what came out."""
    met: Counter[str] = field(default_factory=Counter)

    def idea(self, title: str) -> Mapping[str, object]:
        """The opening of a draft about a person's idea."""
        return {"userMessage": f"<idea>\n{title}\n", "hasToolResult": False}

    def opening(self) -> Mapping[str, object]:
        """The opening of the next draft about anything else, or the same opening asked again."""
        return self._next("# Where things stand")

    def again(self) -> Mapping[str, object]:
        """What follows an answer that was thrown away."""
        return self._next("That answer was thrown away whole.")

    def after(self, call: str) -> Mapping[str, object]:
        """What ends with the result of that call."""
        return {"toolCallId": call}

    def calls(
        self,
        when: Mapping[str, object],
        *tools: Call,
        answer: Mapping[str, object] = MappingProxyType({}),
        cut_after: int = 0,
    ) -> None:
        """Answer with calls of tools, and what else is in `answer`; `cut_after` so many pieces, the line is cut."""
        cut = {"truncateAfterChunks": cut_after, "latency": 40} if cut_after else {}
        self._answer(when, {"toolCalls": list(tools), **answer}, cut)

    def says(self, when: Mapping[str, object], text: str, finish: str = "stop") -> None:
        """Answer in words alone."""
        self._answer(when, {"content": text, "finishReason": finish}, {})

    def fails(self, when: Mapping[str, object], status: int, kind: str, **more: object) -> None:
        """Refuse to answer."""
        response = {"error": {"message": f"scripted {kind}", "type": kind}, "status": status, **more}
        self.fixtures.append({"match": when, "response": response})

    def usd(self) -> Decimal:
        """What all of it costs, by the list."""
        listed = tomllib.loads(SHIPPED.read_text(encoding="utf-8"), parse_float=Decimal)
        price = listed["prices"][listed["model"]]
        read, written = (Decimal(sum(column)) for column in zip(*self.tokens, strict=True))
        total: Decimal = (read * price["input"] + written * price["output"]) / 1_000_000
        return total

    def _next(self, words: str) -> Mapping[str, object]:
        self.met[words] += 1
        return {"userMessage": words, "hasToolResult": False, "sequenceIndex": self.met[words] - 1}

    def _answer(self, when: Mapping[str, object], response: Mapping[str, object], how: Mapping[str, object]) -> None:
        read, written = 1_000 + 13 * len(self.tokens), 200 + 7 * len(self.tokens)
        self.tokens.append((read, written))
        usage = {"input_tokens": read, "output_tokens": written}
        self.fixtures.append({"match": when, "response": {**response, "usage": usage}, **how})


WORSE, KEPT = ("discard", "worse at breadth"), ("keep", "improved")
WITHOUT_EFFECT, NOTHING = ("discard", "no_effect"), ("checks_failed", "no_proposal")


@dataclass(frozen=True)
class Ending:
    """What must become of a draft: its experiments, and how often it was mended before each of them."""

    draft: str
    outcomes: Sequence[tuple[str, str]]
    mended: Sequence[int]


def the_night() -> tuple[Script, dict[str, Ending]]:
    """All that is answered, draft by draft in the order they are begun, and how each must end."""
    script = Script()
    endings: dict[str, Ending] = {}

    def becomes(name: str, *outcomes: tuple[str, str], mended: Sequence[int] = (0,)) -> None:
        endings[name] = Ending(f"d{len(endings) + 1:04d}", outcomes, mended)

    # A person's idea in words, written with two look-ups in one answer.
    script.calls(
        script.idea("Half of the rest"),
        tool("idea_a", "search_library", {"question": "how much of the measured distribution"}),
        tool("idea_b", "past_experiments", {}),
    )
    half = ('quality = float(knob("QUALITY"))', 'quality = (1 + float(knob("QUALITY"))) / 2')
    script.calls(script.after("idea_b"), propose("idea_c", "Half of the rest", "other", (TRAIN, *half)))
    becomes("idea", KEPT)

    # Another that is refused, cut short and talked about, and then given up.
    script.says(script.idea("What nobody can write"), "I would rather not.", finish="refusal")
    script.calls(script.again(), propose("no_idea", LEFTOVER, "other", NEVER), answer={"finishReason": "length"})
    script.says(script.again(), "First one would have to ask what understanding is.")
    becomes("no idea", NOTHING)

    # A knob without effect, thought about first.
    thinking = {"content": "Here it is.", "reasoning": "It can do no harm."}
    script.calls(script.opening(), propose("nudge", "A nudge", "optimizer", knobs={"NUDGE": 0.11}), answer=thinking)
    becomes("nudge", WITHOUT_EFFECT)

    # One that is kept, which moves the champion away from under the draft after it.
    script.calls(script.opening(), propose("keep", "Nearly all of it", "training", knobs={"QUALITY": 0.9}))
    becomes("keep", KEPT)
    script.calls(
        script.opening(), propose("moved_a", "Less", "data", (SETTINGS, "QUALITY = 0.5  #", "QUALITY = 0.3  #"))
    )
    script.calls(script.after("moved_a"), worse("moved_b", 0.31, "data"))
    becomes("moved", WORSE, mended=(1,))

    # Everything there is to read, one after another, and then an exact edit.
    script.calls(script.opening(), tool("read_a", "search_library", {"question": "has a nudge been tried"}))
    script.calls(script.after("read_a"), tool("read_b", "read_note", {"name": "2505.08823"}))
    script.calls(script.after("read_b"), tool("read_c", "read_trainer_file", {"path": SETTINGS}))
    script.calls(script.after("read_c"), tool("read_d", "past_experiments", {"words": "nudge"}))
    nudge = (SETTINGS, "NUDGE = 0.0  # has", "NUDGE = 0.12  # has")
    script.calls(script.after("read_d"), propose("read_e", "Another nudge", "export", nudge))
    becomes("reader", WITHOUT_EFFECT)

    # Sound in smoke and not after it: the experiment crashes, and the same draft mends it in another.
    long = (TRAIN, STEPS, STEPS + '    if steps > 5:\n        raise ValueError("the longer widget is bent")\n')
    script.calls(script.opening(), propose("longer_a", "Bent when longer", "optimizer", long))
    script.calls(script.after("longer_a"), worse("longer_b", 0.29, "optimizer"))
    becomes("longer", ("crash", "exit_code"), WORSE, mended=(0, 1))

    # Two edits of which one does not fit.
    script.calls(script.opening(), propose("misfit_a", "Half fits", "training", NEVER, MISFIT))
    told = (TRAIN, AT_START, AT_START + "    told = len(behaviour)\n")
    script.calls(script.after("misfit_a"), propose("misfit_b", "Now it fits", "training", told))
    becomes("misfit", WITHOUT_EFFECT, mended=(1,))

    # A crash in smoke, mended.
    script.calls(script.opening(), propose("crash_a", "Bent", "data", knobs={"BEHAVIOUR": "raise"}))
    script.calls(script.after("crash_a"), worse("crash_b", 0.28, "data"))
    becomes("crash", WORSE, mended=(1,))

    # A crash in smoke that three proposals do not mend.
    bent = (TRAIN, AT_START, AT_START + '    raise ValueError("bent for good")\n')
    script.calls(script.opening(), propose("bent_a", "Bent at once", "export", knobs={"BEHAVIOUR": "nan"}))
    script.calls(script.after("bent_a"), propose("bent_b", "Bent again", "export", knobs={"BEHAVIOUR": "no_artifact"}))
    script.calls(script.after("bent_b"), propose("bent_c", "Bent for good", "export", bent))
    becomes("bent", ("crash", "exit_code"), mended=(2,))

    # A whole file, too soon and then after two that did not fit.
    whole = [{"path": MODEL, "content": MODEL_TEXT + "\nVALUES = 1024\n"}]
    script.calls(script.opening(), propose("whole_a", "Whole too soon", "optimizer", files=whole))
    script.calls(script.after("whole_a"), propose("whole_b", "Misfit", "optimizer", (MODEL, "import", "from")))
    script.calls(script.after("whole_b"), propose("whole_c", "The whole file", "optimizer", files=whole))
    becomes("whole", WITHOUT_EFFECT, mended=(2,))

    # What `propose` cannot read.
    script.calls(script.opening(), tool("unread_a", "propose", {"title": LEFTOVER}))
    wrong = propose("unread_b", "Wrong", "training", edits="all of them", notes=5)
    script.calls(script.after("unread_a"), wrong)
    script.calls(script.after("unread_b"), worse("unread_c", 0.23, "training"))
    becomes("unread", WORSE, mended=(2,))

    # A tool that there is not, and tools asked for what they do not have.
    script.calls(script.opening(), tool("shell", "run_shell", {"command": "cat ~/.netrc"}))
    script.calls(script.after("shell"), tool("outside", "read_trainer_file", {"path": "../bench/score.py"}))
    script.calls(script.after("outside"), tool("empty", "search_library", {}))
    script.calls(script.after("empty"), worse("tools", 0.22, "data"))
    becomes("tools", WORSE)

    # A server that is out for a moment, in three ways, and a question that it will not take.
    script.fails(script.opening(), 429, "rate_limit_error", retryAfter=1)
    script.calls(script.opening(), worse("limited", 0.21, "export"))
    becomes("limited", WORSE)
    script.calls(script.opening(), tool("busy_a", "read_trainer_file", {"path": MODEL}))
    script.fails({**script.after("busy_a"), "sequenceIndex": 0}, 529, "overloaded_error")
    script.calls({**script.after("busy_a"), "sequenceIndex": 1}, worse("busy_b", 0.19, "optimizer"))
    becomes("busy", WORSE)
    script.calls(script.opening(), propose("broken_a", LEFTOVER * 80, "training", NEVER), cut_after=4)
    script.calls(script.opening(), worse("broken_b", 0.18, "training"))
    becomes("broken", WORSE)
    script.fails(script.opening(), 400, "invalid_request_error")
    becomes("not taken", NOTHING)

    # Answers that are thrown away, and better ones after them; all in one lane, which then has had its turns.
    script.says(script.opening(), "I would rather not.", finish="refusal")
    script.calls(script.again(), worse("refused", 0.27, "shared-depth"))
    becomes("refused", WORSE)
    script.calls(script.opening(), propose("short_a", LEFTOVER, "data", NEVER), answer={"finishReason": "length"})
    script.calls(script.again(), worse("short_b", 0.26, "shared-depth"))
    becomes("short", WORSE)
    script.says(script.opening(), "Shall I propose something?")  # and then with an input that is no object
    script.calls(script.again(), tool("list", "propose", [LEFTOVER]))
    script.calls(script.again(), worse("words", 0.25, "shared-depth"))
    becomes("words", WORSE)
    script.calls(script.opening(), worse("lane_a", 0.24, "shared-depth"))
    script.calls(script.after("lane_a"), worse("lane_b", 0.24, "evaluation"))
    becomes("lane", WORSE, mended=(1,))

    # What was tried before, in other words, and what the champion is already.
    script.calls(script.opening(), propose("same_a", "Once more", "data", knobs={"QUALITY": "0.270"}))
    script.calls(script.after("same_a"), propose("same_b", "As it is", "data", knobs={"QUALITY": 0.9}))
    script.calls(script.after("same_b"), worse("same_c", 0.17, "data"))
    becomes("same", WORSE, mended=(2,))

    # Two proposals at once, after a word that says nothing: the first counts, and does not fit.
    script.calls(script.opening(), tool("two_x", "past_experiments", {"lane": "data"}), answer={"content": "\n\n"})
    two = propose("two_a", "One of two", "export", MISFIT), propose("two_b", LEFTOVER, "export", NEVER)
    script.calls(script.after("two_x"), *two)
    script.calls(script.after("two_a"), worse("two_c", 0.16, "export"))
    becomes("two", WORSE, mended=(1,))
    return script, endings


MODEL_TEXT = (Path(__file__).parents[1] / "fakes" / "trainer" / "model.py").read_text(encoding="utf-8")


def nightshift(repo: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")} | {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "COLUMNS": "160",
        "PYTHONWARNINGS": "error",
    }
    command = [sys.executable, "-m", "agent.cli", *words]
    return subprocess.run(
        command, cwd=repo, env=environment | more, capture_output=True, text=True, check=False, timeout=240
    )


def run_night(repo: Path, server: Aimock, researcher: str, experiments: int) -> "subprocess.CompletedProcess[str]":
    words = ("--name", "n", "--slots", "1", "--hours", "1", "--max-experiments", str(experiments))
    return nightshift(repo, "run", "--short", "--researcher", researcher, *words, **server.environment)
