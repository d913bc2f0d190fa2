"""What every reading command prints under --json, on a real night that is over, is what docs/schemas/ says it is."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
from llmock.pytest_plugin import LLMock
from llmock.testing import LLMockServer

from agent.cli import cli
from agent.shapes import SHAPES
from bench.data import Dataset
from scripts.write_schemas import FOLDER, schemas
from tests.agent.test_cli import commands
from tests.fakes import make_repo, with_prompts

ROOT = Path(__file__).parents[2]
ACTS = {
    "attach": "follows what a night says",
    "calibrate": "measures, and says so as it goes",
    "chronicle": "writes a page",
    "completion": "prints a script",
    "dashboard": "serves a page; /morning.json and /ideas.json are for programs",
    "data prepare": "writes the data",
    "export": "prints another tool's format",
    "finish": "writes the history",
    "idea add": "writes the queue",
    "idea priority": "says what runs first",
    "idea retire": "says what runs no more",
    "init": "makes a workspace",
    "kb add": "writes notes",
    "revert": "moves a branch",
    "run": "is the night",
    "worker": "serves nights elsewhere",
}
"""What has no --json, and why: these act, and what they did is read by another command."""
TSV = """commit\tval_bpb\tmemory_gb\tstatus\tdescription
aaaaaaa\t0.997900\t44.0\tkeep\tbaseline
bbbbbbb\t0.993200\t44.2\tkeep\twarmer
"""
IDEAS = """# The queue

## Better quality

paper: 2505.08823

```knobs
QUALITY = 0.9
```

## Worse quality

```knobs
QUALITY = 0.2
```

## Write NaN

```knobs
BEHAVIOUR = "nan"
```

## A knob that does not exist

```knobs
QALITY = 0.5
```

## Nothing at all
"""
LATER = """
## In words

Go half of the way that is left.
"""
NOTE = """---
title: Quality
arxiv: '2505.08823'
asks: [what is quality worth]
---

## What to change in trainer/

More.

```knobs
QUALITY = 0.9
```
"""
PROPOSAL = {
    "title": "Half way there",
    "hypothesis": "It was so before.",
    "expected": {"thousandths": -3, "because": "it was so before"},
    "lane": "optimizer",
    "edits": [
        {
            "path": "trainer/train.py",
            "old": 'quality = float(knob("QUALITY"))',
            "new": 'quality = (1 + float(knob("QUALITY"))) / 2',
        }
    ],
}
TYPED = {
    "audit": ["audit --seeds 2", "audit"],
    "bench": ["bench --profile short-smoke", "bench --profile short-smoke --sizes"],
    "diff": ["diff 2"],
    "doctor": ["doctor", "doctor --deep"],
    "gc": ["gc --days 0", "gc --days 0 --yes"],
    "idea list": ["idea list"],
    "import": ["import elsewhere.tsv --dry-run", "import elsewhere.tsv"],
    "kb check": ["kb check"],
    "kb ideas": ["kb ideas"],
    "kb list": ["kb list"],
    "kb search": ["kb search what is quality worth", "kb search better"],
    "kb show": ["kb show 2505.08823"],
    "log": ["log"],
    "plan": ["plan --hours 8", "plan --hours 8 --slots 4"],
    "propose": ["propose --idea in-words"],
    "proxy": ["proxy"],
    "replay": ["replay 2"],
    "report": ["report"],
    "show": [f"show {number}" for number in range(1, 7)],
    "show --transcript": ["show 6 --transcript"],
    "stop": ["stop"],
    "transfer": ["transfer --seeds 2"],
    "watch": ["watch", "watch --once"],
}
"""What is typed for each, in this order at the end: what removes something comes last."""


@pytest.fixture(scope="module")
def claude() -> Iterator[LLMock]:
    """A server that answers every question with the same proposal."""
    with LLMockServer() as server:
        yield LLMock(server)


def nightshift(repo: Path, claude: LLMock, *words: str) -> str:
    """What a command printed, when all goes well."""
    command = [sys.executable, "-m", "agent.cli", *words]
    environment = os.environ | claude.env() | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    done = subprocess.run(command, cwd=repo, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def night(small_data: Dataset, tmp_path_factory: pytest.TempPathFactory, claude: LLMock) -> Path:
    """A night that is over: a keep, a discard, a crash, a refusal, and a proposal of Claude's."""
    repo = with_prompts(make_repo(tmp_path_factory.mktemp("person"), small_data.root, IDEAS))
    (repo / "kb" / "papers").mkdir()
    (repo / "kb" / "papers" / "2505.08823-quality.md").write_text(NOTE)
    for _ in range(4):
        claude.call_tool("propose", PROPOSAL)
    words = ("--short", "--name", "n", "--slots", "2", "--max-experiments", "5", "--researcher", "claude")
    nightshift(repo, claude, "run", *words)
    nightshift(repo, claude, "finish")
    (repo / "elsewhere.tsv").write_text(TSV)
    with (repo / "kb" / "ideas.md").open("a") as queue:
        queue.write(LATER)
    return repo


def schema_of(words: str) -> Any:  # noqa: ANN401  # whatever JSON takes
    return json.loads((FOLDER / f"{words.replace(' --', '-').replace(' ', '-')}.json").read_text())


def test_the_schemas_are_those_that_the_shapes_make() -> None:
    committed = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    assert committed == schemas(), "python -m scripts.write_schemas"
    for text in committed.values():
        jsonschema.Draft202012Validator.check_schema(json.loads(text))


def test_every_command_has_a_schema_or_a_reason_why_it_prints_no_json() -> None:
    found: dict[str, click.Command] = {}
    for words in commands(cli):
        command: click.Command = cli
        for word in words:
            assert isinstance(command, click.Group)
            below = command.get_command(click.Context(command), word)
            assert below is not None
            command = below
        if not isinstance(command, click.Group):
            found[" ".join(words)] = command
    reading = {words for words, command in found.items() if any(one.name == "as_json" for one in command.params)}
    assert found.keys() - reading == ACTS.keys()
    assert reading == {words.partition(" --")[0] for words in SHAPES}


def test_the_page_on_schemas_names_them_all() -> None:
    page = (ROOT / "docs" / "json.md").read_text()
    for name, words in zip(schemas(), SHAPES, strict=True):
        assert f"[`{words}`](schemas/{name})" in page


@pytest.mark.parametrize("words", sorted(SHAPES, key=lambda words: words == "gc"))
def test_what_a_command_prints_is_what_its_schema_says(words: str, night: Path, claude: LLMock) -> None:
    for typed in TYPED[words]:
        said = json.loads(nightshift(night, claude, *shlex.split(typed), "--json"))
        jsonschema.validate(said, schema_of(words))
        told = {key: value for key, value in said.items() if value not in ([], {}, None)}
        assert told or words in ("kb check", "stop"), f"nothing was said that could be wrong: {said}"


def test_a_plan_is_for_as_many_slots_as_are_asked_for(night: Path, claude: LLMock) -> None:
    plans = [json.loads(nightshift(night, claude, *typed.split(), "--json")) for typed in TYPED["plan"]]
    assert [plan["slots"] for plan in plans] == [2, 4]


def test_a_key_that_is_not_documented_and_one_that_is_missing_are_found(night: Path, claude: LLMock) -> None:
    said = json.loads(nightshift(night, claude, "log", "--json"))
    for broken in ({**said, "more": 1}, {key: value for key, value in said.items() if key != "night"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema_of("log"))
    said["experiments"][0]["more"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(said, schema_of("log"))
