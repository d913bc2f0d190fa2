"""What was said in a draft: one file of JSON lines, written as the conversation goes on, and read for a person here."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.views import visible
from bench.errors import UsageError

DRAFTS = "drafts"
"""Folder of a night's conversations, beside its journal."""


def read_transcript(path: Path) -> list[Mapping[str, Any]]:
    """The lines of a conversation; a torn last one is left out. Raises UsageError where there is none."""
    if not path.is_file():
        raise UsageError(
            f"there is no transcript {path.name}: drafts are kept beside their night's journal, in its clone"
        )
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    return [json.loads(line) for line in lines]


def as_text(lines: Sequence[Mapping[str, Any]]) -> str:
    """A conversation in plain text, with nothing in it that could steer a terminal."""
    return visible("\n\n".join(part for line in lines for part in _parts(line)))


def _parts(line: Mapping[str, Any]) -> Iterator[str]:
    if "draft" in line:
        yield f"draft {line['draft']}, {line['arm']}, {line['model']}; rules, tools and trainer are in {line['system']}"
        return
    who = "Claude" if line["role"] == "assistant" else "Nightshift"
    content = line["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for block in blocks:
        yield f"── {who} ──\n{_block(block)}"
    if "usage" in line:
        usage = line["usage"]
        read, written = usage["cache_read_input_tokens"], usage["ephemeral_5m_input_tokens"]
        written += usage["ephemeral_1h_input_tokens"]
        yield (
            f"({line['stop_reason']}; {usage['input_tokens']:,} tokens in, {read:,} from the cache, {written:,} to it,"
            f" {usage['output_tokens']:,} out; ${line['usd']:.4f})"
        )


def _block(block: Mapping[str, Any]) -> str:
    match block["type"]:
        case "text":
            return str(block["text"])
        case "thinking":
            return f"(thinks) {block['thinking']}"
        case "tool_use":
            given = block["input"]
            lines = (
                [f"{name}: {_value(value)}" for name, value in given.items()] if isinstance(given, dict) else [given]
            )
            return "\n".join([f"calls {block['name']}", *map(_value, lines)])
        case "tool_result":
            return f"answers{', with an error' if block['is_error'] else ''}\n{block['content']}"
        case kind:
            return f"({kind})"


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
