"""The package installed from a wheel, with no clone around it: a workspace, its data, and a night in it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = (
    "agent",
    "bench",
    "prompts",
    "trainer",
    "AGENTS.md",
    "LICENSE",
    "README.md",
    "constraints.txt",
    "pyproject.toml",
)


def call(*words: str | Path, at: Path) -> str:
    done = subprocess.run(words, cwd=at, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
@pytest.mark.network
@pytest.mark.timeout(900)
def test_a_workspace_works_where_only_the_wheel_is_installed(tmp_path: Path, text_dir: Path) -> None:
    sources, venv = tmp_path / "sources", tmp_path / "venv"
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (sources / name).parent.mkdir(exist_ok=True)
        copy(ROOT / name, sources / name)
    call(sys.executable, "-m", "venv", venv, at=tmp_path)
    call(venv / "bin" / "pip", "install", "--quiet", "--constraint", "constraints.txt", ".", at=sources)
    shutil.rmtree(sources)
    nightshift, place = venv / "bin" / "nightshift", tmp_path / "place"
    assert "committed" in call(nightshift, "init", place, at=tmp_path)
    call(nightshift, "data", "prepare", "--source", text_dir, at=place)
    assert "a night can start" in call(nightshift, "doctor", at=place)
    said = call(nightshift, "run", "--short", "--max-experiments", "1", "--name", "first", at=place)
    assert "KEEP baseline" in said
    assert "first-0002" in said
    asked = "from agent.prompt import template; from pathlib import Path; template(Path('.'), Path('prompts/idea.md'))"
    call(venv / "bin" / "python", "-c", asked, at=place)
