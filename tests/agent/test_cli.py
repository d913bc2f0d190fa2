"""Bad input at the command line: one clear line, a non-zero exit, nothing lost."""

import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from shutil import copytree

import click
import pytest
from click.testing import CliRunner

from agent.cli import ENTRIES, cli
from bench.data import Dataset
from tests.agent.test_night import nightshift
from tests.fakes import git, make_repo

ROOT = Path(__file__).parents[2]


@pytest.fixture
def repo(small_data: Dataset, tmp_path: Path) -> Path:
    return make_repo(tmp_path / "person", small_data.root)


def complaint(repo: Path, *words: str) -> str:
    done = nightshift(repo, *words, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return [line for line in done.stderr.splitlines() if line.strip()][-1]


def test_bench_prints_one_json_object_and_the_same_number_twice(repo: Path) -> None:
    first, second = (
        json.loads(nightshift(repo, "bench", "--profile", "short-breadth", "--seed", "1", "--json").stdout)
        for _ in range(2)
    )
    assert first["val_bpb"] == second["val_bpb"]
    assert {"artifact_bytes", "code_bytes", "tokens_per_s", "phases", "peak_memory_bytes", "sandbox"} <= first.keys()
    assert {"setup", "train", "export", "score"} <= first["phases"].keys()
    assert Path(first["folder"], "artifact.bin").is_file()


def test_a_hand_made_run_cannot_read_the_sealed_split(repo: Path) -> None:
    assert "'short-audit' is not one of" in complaint(repo, "bench", "--profile", "short-audit")


def test_bench_says_which_phase_it_is_in(repo: Path) -> None:
    said = nightshift(repo, "bench", "--profile", "short-smoke").stderr
    phases = [line.rpartition(" · ")[2] for line in said.splitlines()]
    assert phases == ["setup", "train", "export", "score"]


def test_bench_measures_the_working_tree_or_the_commit_that_is_named(repo: Path) -> None:
    settings = repo / "trainer" / "settings.py"
    settings.write_text(settings.read_text().replace("QUALITY = 0.5", "QUALITY = 0.9"))
    tree = json.loads(nightshift(repo, "bench", "--profile", "short-breadth", "--json").stdout)
    words = ("bench", "--profile", "short-breadth", "--json")
    commit = json.loads(nightshift(repo, *words, "--commit", "HEAD").stdout)
    override = json.loads(nightshift(repo, *words, "--commit", "HEAD", "--set", "QUALITY=0.9").stdout)
    assert tree["val_bpb"] < commit["val_bpb"]
    assert override["val_bpb"] == tree["val_bpb"]


def test_bench_says_which_part_costs_what_the_largest_first(repo: Path) -> None:
    words = ("bench", "--profile", "short-smoke", "--set", "PADDING=9000", "--sizes")
    found = json.loads(nightshift(repo, *words, "--json").stdout)
    sizes = found["sizes"]
    assert sizes[0] == {"name": "ballast", "storage": "zeros", "shape": [], "raw_bytes": 9000, "bytes": 9000}
    assert [part["bytes"] for part in sizes] == sorted((part["bytes"] for part in sizes), reverse=True)
    assert sum(part["bytes"] for part in sizes) == found["artifact_bytes"] + found["code_bytes"]
    code = {part["name"]: part["bytes"] for part in sizes if part["storage"] == "code"}
    assert code == {f"trainer/{path.name}": path.stat().st_size for path in (repo / "trainer").glob("*.py")}
    heading, first = nightshift(repo, *words).stdout.partition("\npart ")[2].splitlines()[:2]
    assert heading.split() == ["shape", "storage", "raw", "bytes", "bytes", "%"]
    assert first.split()[:4] == ["ballast", "zeros", "9,000", "9,000"]


def test_sizes_that_are_missing_or_do_not_add_up_are_refused(repo: Path) -> None:
    words = ("bench", "--profile", "short-smoke", "--sizes", "--set")
    assert "has no `parts`" in complaint(repo, *words, "BEHAVIOUR=tell_no_sizes")
    said = complaint(repo, *words, "BEHAVIOUR=miscount", "--set", "PADDING=5")
    assert "its parts take 4,096 bytes; the artifact has 4,101" in said


def test_a_knob_that_does_not_exist_names_the_nearest(repo: Path) -> None:
    assert "nearest: QUALITY" in complaint(repo, "bench", "--set", "QUALTY=0.9")


def test_a_setting_without_a_value_is_refused(repo: Path) -> None:
    assert "KNOB=VALUE" in complaint(repo, "bench", "--set", "QUALITY")


def test_an_unknown_commit_is_named(repo: Path) -> None:
    assert "no commit 'nowhere'" in complaint(repo, "bench", "--commit", "nowhere")


def test_a_trainer_that_fails_is_named_with_its_own_last_words(repo: Path) -> None:
    assert "the widget is bent" in complaint(repo, "bench", "--set", "BEHAVIOUR=raise")


def test_no_night_yet_says_how_to_begin_one(repo: Path) -> None:
    for words in (["log"], ["show", "1"], ["diff", "1"], ["plan", "--hours", "1"], ["export", "--tsv"], ["finish"]):
        assert "nightshift run" in complaint(repo, *words)


def test_outside_a_repository(tmp_path: Path) -> None:
    assert "not inside a git repository" in complaint(tmp_path, "log")


def test_a_name_that_cannot_be_a_branch(repo: Path) -> None:
    assert "cannot name a night" in complaint(repo, "run", "--name", "../etc")


def test_a_research_branch_without_a_journal_is_not_taken_over(repo: Path) -> None:
    git(repo, "branch", "nightshift/n")
    assert "choose another --name" in complaint(repo, "run", "--short", "--name", "n")


def test_data_from_a_folder_that_is_not_there(repo: Path, tmp_path: Path) -> None:
    assert str(tmp_path / "nowhere") in complaint(repo, "data", "prepare", "--source", str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("offset", "value", "words"), [(0, 7, "magic"), (8, 12345, "token"), (1024 + 8, 0xFFFF, "vocabulary")]
)
def test_a_damaged_shard_is_named(
    repo: Path, small_data: Dataset, tmp_path: Path, offset: int, value: int, words: str
) -> None:
    (repo / "data").unlink()
    copytree(small_data.root, repo / "data")
    shard = next((repo / "data" / "val").glob("*.bin"))
    content = bytearray(shard.read_bytes())
    content[offset : offset + (4 if offset < 1024 else 2)] = struct.pack("<i" if offset < 1024 else "<H", value)
    shard.write_bytes(content)
    said = complaint(repo, "bench")
    assert shard.name in said
    assert words in said


def test_an_idea_is_appended_and_then_listed(repo: Path) -> None:
    nightshift(repo, "idea", "add", "Best quality", "--text", "More is better.", "--set", "QUALITY=0.95", "--lane", "x")
    rows = json.loads(nightshift(repo, "idea", "list", "--json").stdout)["ideas"]
    assert [(row["title"], row["lane"], row["state"]) for row in rows] == [("Best quality", "x", "ready")]
    assert "Best quality" in complaint(repo, "idea", "add", "Best quality", "--set", "QUALITY=0.95")


def commands(group: click.Group, *before: str) -> Iterator[tuple[str, ...]]:
    """Every command of the program, groups and what is below them included."""
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        yield (*before, name)
        if isinstance(command, click.Group):
            yield from commands(command, *before, name)


def test_every_command_has_help() -> None:
    found = list(commands(cli))
    assert {("run",), ("propose",), ("kb", "search"), ("idea", "add"), ("data", "prepare")} <= set(found)
    for words in found:
        done = CliRunner().invoke(cli, [*words, "--help"], terminal_width=80)
        assert done.exit_code == 0
        usage, _, rest = done.output.partition("\n\n")
        assert usage.startswith("Usage: ")
        assert rest.strip()[0].isupper(), f"{words} does not say what it does"
        assert "...\n" not in rest, f"{words}: a line of its list is cut off"


def test_every_command_of_every_file_is_in_the_help_once_and_the_help_fits_80_columns() -> None:
    files = sorted(path.stem for path in (ROOT / "agent").glob("cli_*.py"))
    found = [(file, one.name) for file in files for one in import_module(f"agent.{file}").COMMANDS]
    assert sorted(found) == sorted((entry.file, name) for name, entry in ENTRIES.items())
    told = CliRunner().invoke(cli, ["--help"], terminal_width=80).output
    for name, entry in ENTRIES.items():
        assert [line for line in told.splitlines() if line.startswith(f"  {name} ") and line.endswith(f" {entry.does}")]


def test_a_command_that_does_not_exist_names_the_nearest(repo: Path) -> None:
    assert "Did you mean 'doctor'?" in complaint(repo, "docter")
    assert "Did you mean 'search'?" in complaint(repo, "kb", "serach")
    assert "Did you mean '--profile'?" in complaint(repo, "bench", "--profle", "smoke")


def test_the_help_imports_no_command(repo: Path) -> None:
    code = "import sys; from agent.cli import cli; cli(['--help'], standalone_mode=False); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "agent.cli" in done.stdout
    assert not {"numpy", "pydantic", "rich", "agent.cli_read"} & set(done.stdout.split("'"))


def test_the_installed_command_is_the_same_program(repo: Path) -> None:
    subprocess.run(["nightshift", "--version"], cwd=repo, check=True, capture_output=True)
