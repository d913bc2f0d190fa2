"""What the pages tell a person to type does what they say: every line is run by a shell, in the order of the page, in a
repository with the fast trainer, the real library, and alphaXiv, arXiv and Claude on loopback."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from llmock.pytest_plugin import LLMock
from pytest_httpserver import HTTPServer

from bench.data import Dataset
from tests.agent.papers import OVERVIEW, entry, feed, serve, text
from tests.agent.test_cli_propose import FITS, proposal
from tests.fakes import git, make_repo, with_prompts

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "AGENTS.md", "docs/claude.md", "docs/json.md")
LINE = re.compile(r"^(?: {4})?(nightshift .+?)(?: {2,}.*)?$", re.MULTILINE)
WORSE = "".join(f"\n## Worse quality {n}\n\n```knobs\nQUALITY = 0.{n}\n```\n" for n in range(1, 5))
QUEUE = f"""# The queue
{WORSE}
## A knob that does not exist

```knobs
QALITY = 0.5
```

## Better quality

```knobs
QUALITY = 0.9
```

## No effect

```knobs
NUDGE = 0.5
```

## BETA2 0.97

```knobs
BETA2 = 0.97
```

## My idea

In words alone.
"""
"""Six experiments, of which number 7 is kept, as the README has it."""
INSTEAD = {
    "nightshift run --hours 8": "nightshift run --hours 8 --short --researcher queue --max-experiments 6",
    "nightshift run --detach": "nightshift run --detach --short --researcher queue --max-experiments 7",
    "nightshift export --tsv": "nightshift export --tsv | tee results.tsv",
}
"""Typed otherwise, that it ends before the morning, or that a later line finds what a person would have."""
ELSEWHERE = {
    'nightshift init . --script "python train.py" --seed-env SEED': "tests/agent/test_bring_your_own.py",
    "nightshift show 7 --transcript": "tests/agent/test_author_night.py",
    "nightshift run --hours 8 --max-usd 5": "tests/agent/test_author_night.py",
    "nightshift run --researcher claude": "tests/agent/test_author_night.py",
    "nightshift worker 127.0.0.1:8786": "tests/agent/test_cluster_night.py",
    "nightshift run --cluster 127.0.0.1:8786 --hours 8": "tests/agent/test_cluster_night.py",
}
"""Typed by other tests, in repositories made for it."""
OWN = ("nightshift kb check",)
"""Typed in this repository, whose notes speak of the trainer as shipped."""


def lines() -> Iterator[str]:
    """Every line, once, as a shell takes it."""
    found = [one[1] for page in PAGES for one in LINE.finditer((ROOT / page).read_text(encoding="utf-8"))]
    return (INSTEAD.get(line, line) for line in dict.fromkeys(found) if line not in ELSEWHERE)


@pytest.fixture
def repo(small_data: Dataset, tmp_path: Path) -> Path:
    """A person's repository with two commits, a library and a history."""
    root = with_prompts(make_repo(tmp_path / "person", small_data.root, QUEUE))
    shutil.copytree(ROOT / "kb", root / "kb", ignore=shutil.ignore_patterns("ideas.md"), dirs_exist_ok=True)
    shutil.copy(ROOT / "autoresearch.jsonl", root)
    settings = root / "trainer" / "settings.py"
    settings.write_text(f"{settings.read_text()}BETA2 = 0.95\nMATRIX_LR = 0.04\n")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message=what the pages speak of")
    return root


@pytest.fixture
def surroundings(repo: Path, httpserver: HTTPServer, llmock: LLMock) -> Mapping[str, str]:
    """Environment of a person whose every server is on loopback; the key stands in it only where it is asked for."""
    serve(httpserver, text(OVERVIEW), arxiv=feed(entry("cs/0506001v1", title="An older paper")))
    llmock.call_tool("propose", proposal(FITS), times=None)
    base = httpserver.url_for("").rstrip("/")
    home = repo.parent / "home"
    home.mkdir()
    who = {f"GIT_{role}_{what}": "a@b.c" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    usual = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}
    return {
        **usual,
        **who,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "BROWSER": "true",
        "ALPHAXIV_BASE_URL": base,
        "ARXIV_BASE_URL": base,
    }


def typed(line: str, repo: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """The exit status of a line, and what it said."""
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=repo,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=600,
    )
    return done.returncode, done.stdout


def dashboard(line: str, repo: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """The same of one that serves until Ctrl-C, which comes once its page was read."""
    with subprocess.Popen(
        [*line.split(), "--port", "0"], cwd=repo, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        address = re.search(r"http://\S+", said)
        try:
            assert address, said
            assert "<title>" in httpx.get(address[0], trust_env=False).text
        finally:
            process.send_signal(signal.SIGINT)
        return process.wait(20), said + process.stdout.read()


def test_every_line_that_a_page_shows_works(repo: Path, surroundings: Mapping[str, str], llmock: LLMock) -> None:
    wrong = []
    for line in lines():
        if "| jq" in line and not shutil.which("jq"):
            line = line.partition(" | jq")[0]
        how = dashboard if line == "nightshift dashboard" else typed
        key = llmock.env() if " propose" in line else {}
        status, said = how(line, ROOT if line in OWN else repo, {**surroundings, **key})
        if status != 0:
            wrong.append(f"$ {line}\n{said}\nexit status {status}")
    assert not wrong, "\n\n".join(wrong)


def test_what_is_typed_elsewhere_is_typed_there_and_still_on_a_page() -> None:
    shown = "\n".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
    assert not [line for line in (*INSTEAD, *ELSEWHERE) if line not in shown]
    assert all((ROOT / test).is_file() for test in ELSEWHERE.values())
