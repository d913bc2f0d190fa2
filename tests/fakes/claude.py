"""A language model whose answers are written down beforehand."""

from collections.abc import Callable, Mapping
from typing import Any

from agent.calls import Usage
from agent.claude import Answer, Block, Question

Turn = Callable[[Question], Answer]


class ScriptedModel:
    """Answers each question by `answers`, given the question and how many came before; remembers what it was asked."""

    def __init__(self, answers: Callable[[Question, int], Answer]) -> None:
        self.answers = answers
        self.asked: list[Question] = []

    def answer(self, question: Question, draft: str) -> Answer:
        """The next answer."""
        del draft
        self.asked.append(question)
        return self.answers(question, len(self.asked) - 1)


def calls(*blocks: Block, reason: str = "tool_use") -> Answer:
    """An answer made of these blocks."""
    return Answer(blocks, reason, Usage(input_tokens=100, output_tokens=10), 0.001)


def tool(name: str, call: str = "call", /, **given: Any) -> Block:  # noqa: ANN401  # a tool's input
    """A call of a tool."""
    return {"type": "tool_use", "id": call, "name": name, "input": given}


def proposal(title: str = "a larger nudge", call: str = "call", **changes: Any) -> Answer:  # noqa: ANN401
    """An answer that hands in a proposal, one of the fake trainer's knobs if nothing else is said."""
    usual: dict[str, Any] = {
        "title": title,
        "hypothesis": "it moves what was still",
        "expected": {"thousandths": -2, "because": "so it did before"},
        "lane": "training",
        "knobs": {"NUDGE": 0.1},
    }
    return calls(tool("propose", call, **(usual | changes)))


def said(question: Question) -> str:
    """The text of the last message, results of tools included."""
    content = question.messages[-1]["content"]
    return content if isinstance(content, str) else "\n".join(map(_text, content))


def _text(block: Mapping[str, Any]) -> str:
    return str(block.get("text", block.get("content", "")))
