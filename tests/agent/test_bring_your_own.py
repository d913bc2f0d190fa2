"""docs/bring-your-own.md: every command of its walk is run as it stands there, and its settings read."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from agent.settings import read_script
from bench.script import Script
from tests.agent.test_night import environment
from tests.fakes import HERE, git

PAGE = (Path(__file__).parents[2] / "docs" / "bring-your-own.md").read_text(encoding="utf-8")
COMMANDS = [line.strip() for line in PAGE.splitlines() if re.match(r"    [a-z]", line)]


def test_the_walk_works_as_it_is_written(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    shutil.copytree(HERE / "script_trainer", repo, ignore=shutil.ignore_patterns("__pycache__"))
    git(repo, "init", "--quiet", "--initial-branch=main")
    git(repo, "add", ".")
    git(repo, "commit", "--quiet", "--message=the start")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    who = {
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@b.c",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@b.c",
    }
    said = {}
    for command in COMMANDS:
        done = subprocess.run(
            command, shell=True, cwd=repo, env=environment() | who | {"PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        said[command] = done.stdout
    assert len(COMMANDS) == 13
    assert "val_bpb: " in said["python train.py"]
    assert "val_bpb (unjudged)" in said["nightshift bench"]
    assert "KEEP Less smoothing" in said["nightshift run --name first"]
    assert "SMOOTHING = 2.0" in (repo / "train.py").read_text()


def test_what_it_says_of_settings_reads(tmp_path: Path) -> None:
    (toml,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "nightshift.toml").write_text(toml)
    script = read_script(tmp_path)
    assert script is not None
    line = "final_int8_zlib_roundtrip_exact val_loss:5.42869759 val_bpb:2.89908765"
    found = script.pattern.search(line)
    assert found is not None
    assert found[1] == "2.89908765"
    told = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert told == Script.model_fields.keys()
