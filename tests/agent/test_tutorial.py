"""docs/tutorial.md, walked: every line is typed as it stands, in its order, with the trainer as it is shipped."""

import os
import re
import sys
from pathlib import Path

import pytest

from tests.agent.test_typed import dashboard, typed

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
LINES = re.findall(r"^    (\w.+)$", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL), re.MULTILINE)
BEFORE = ("make install", "source .venv/bin/activate")
"""What `make test` has done."""


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_tutorial_works_as_it_is_written(text_dir: Path, tmp_path: Path) -> None:
    who = {f"GIT_{role}_{what}": "a@b.c" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    usual = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**usual, **who, "PATH": path, "HOME": str(tmp_path), "BROWSER": "true"}
    here, said = tmp_path, dict[str, str]()
    for line in LINES:
        if line in BEFORE:
            continue
        if line.startswith("cd "):
            here = Path(line.removeprefix("cd ").replace("~", str(tmp_path)))
            continue
        how = dashboard if line == "nightshift dashboard" else typed
        other_text = f" --source {text_dir}" if line == "nightshift data prepare" else ""
        status, said[line] = how(line + other_text, here, environment)
        assert status == 0, f"$ {line}\n{said[line]}"
    assert list(LINES[:2]) == list(BEFORE)
    assert "A slower embedding" in said["nightshift log"]
    assert (here / "autoresearch.jsonl").exists()
