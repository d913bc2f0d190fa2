"""Completion in real shells: what a person is offered at a key, and that a broken place offers nothing in silence."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.cli import cli
from agent.journal import Journal
from agent.records import AnyRecord
from bench.data import Dataset
from tests.agent.builders import NIGHT, header
from tests.fakes import make_repo

IDEAS = "# The queue\n\n## Best quality\n\n```knobs\nQUALITY = 0.9\n```\n\n## Worst\n\nOf all.\n"
BASH = """
eval "$(nightshift completion bash)"
COMP_WORDS=({words} "{incomplete}")
COMP_CWORD=$(({count}))
_nightshift_completion nightshift
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ZSH = """
compdef() { :; }
autoload() { :; }
eval "$(nightshift completion zsh)"
whence -w _nightshift_completion
"""
FISH = """
nightshift completion fish | source
complete --do-complete "nightshift {line}"
"""


@pytest.fixture(scope="module")
def repo(small_data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person's repository with two nights, the first of which was written to last."""
    root = make_repo(tmp_path_factory.mktemp("person"), small_data.root, IDEAS)
    (root / "kb" / "papers").mkdir()
    (root / "kb" / "papers" / "2505.08823-quality.md").write_text("---\ntitle: Quality\narxiv: '2505.08823'\n---\n")
    for name, records in (("second", ()), ("night", NIGHT)):
        write_journal(root / ".git" / "nightshift" / name / "autoresearch.jsonl", name, *records)
    os.utime(root / ".git" / "nightshift" / "second" / "autoresearch.jsonl", (1, 1))
    return root


def write_journal(path: Path, name: str, *records: AnyRecord) -> None:
    path.parent.mkdir(parents=True)
    journal = Journal(path)
    for record in (header(name=name), *records):
        journal.append(record)
    with path.open("a") as file:
        file.write('{"run":7,"torn')


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment in which `nightshift` is this one."""
    program = tmp_path / "nightshift"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from agent.cli import main\nmain()\n"
    )
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}


def offered(shell: dict[str, str], folder: Path, line: str) -> list[str]:
    """What bash offers at the end of a line, the word under the cursor being its last."""
    *words, incomplete = line.split(" ")
    script = BASH.format(words=" ".join(["nightshift", *words]), incomplete=incomplete, count=len(words) + 1)
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=shell, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("do", ["doctor"]),
        ("kb se", ["search"]),
        ("log --j", ["--json"]),
        ("completion ", ["bash", "zsh", "fish"]),
        ("bench --profile short-s", ["short-smoke"]),
        ("log --name ", ["night", "second"]),
        ("run --name s", ["second"]),
        ("show night-000", [f"night-000{number}" for number in range(1, 7)]),
        ("show --name second ", []),
        ("replay --name night night-0003", ["night-0003"]),
        ("propose --idea w", ["worst"]),
        ("kb show 2505", ["2505.08823-quality"]),
    ],
)
def test_bash_offers_what_can_stand_there(repo: Path, shell: dict[str, str], line: str, expected: list[str]) -> None:
    assert offered(shell, repo, line) == expected


def test_outside_a_repository_it_offers_nothing_and_says_nothing(tmp_path: Path, shell: dict[str, str]) -> None:
    for line in ("show ", "log --name ", "propose --idea ", "kb show "):
        assert offered(shell, tmp_path, line) == []


def test_a_journal_and_a_queue_that_do_not_read_offer_nothing(
    repo: Path, tmp_path: Path, shell: dict[str, str]
) -> None:
    broken = shutil.copytree(repo, tmp_path / "person", symlinks=True)
    for path in (broken / ".git" / "nightshift").glob("*/autoresearch.jsonl"):
        path.write_text('{"run":1}\n')
    (broken / "kb" / "ideas.md").write_bytes(b"\xff\xfe")
    assert offered(shell, broken, "show ") == []
    assert offered(shell, broken, "propose --idea ") == []


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not here")
def test_zsh_takes_the_script(repo: Path, shell: dict[str, str]) -> None:
    done = subprocess.run(["zsh", "-f", "-c", ZSH], cwd=repo, env=shell, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("_nightshift_completion: function\n", "")


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not here")
def test_fish_offers_the_same_with_words_on_each(repo: Path, shell: dict[str, str]) -> None:
    script = FISH.format(line="show night-0003")
    done = subprocess.run(["fish", "-c", script], cwd=repo, env=shell, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["night-0003\tkeep: MATRIX_LR 0.06"]


def test_a_shell_that_is_not_known_is_refused_with_those_that_are() -> None:
    done = CliRunner().invoke(cli, ["completion", "tcsh"])
    assert done.exit_code != 0
    assert "'bash', 'zsh', 'fish'" in done.output


def test_a_command_s_name_is_completed_without_importing_any(shell: dict[str, str], tmp_path: Path) -> None:
    words = {"_NIGHTSHIFT_COMPLETE": "bash_complete", "COMP_WORDS": "nightshift l", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(tmp_path / "nightshift")],
        env=shell | words,
        capture_output=True,
        text=True,
        check=False,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "agent.cli" in imported
    assert not {"numpy", "pydantic", "rich", "agent.cli_read"} & imported
    assert done.stdout == "plain,log\n"
