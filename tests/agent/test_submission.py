"""`nightshift export --submission`: the champion as one script, measured as it is submitted, and told truthfully."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agent import git as plumbing
from agent import packing, submission
from agent.cli_bench import working_tree
from agent.cli_export import submit
from agent.submission import Submission
from bench.data import Dataset
from bench.errors import RunFailed, UsageError
from bench.job import Job
from bench.machine import Fingerprint
from bench.profiles import golf
from bench.slots import Slots
from tests.fakes import fake_tree, git, make_repo

ROOT = Path(__file__).parents[2]
TINY = golf(steps=3, hours=0.1, size="tiny")


def packed(tree: dict[str, bytes] | None = None) -> bytes:
    return packing.pack(fake_tree() if tree is None else tree, "A trainer.")


def test_the_same_tree_gives_the_same_script_and_each_module_stands_in_it_as_it_reads() -> None:
    assert packed() == packed(dict(reversed(fake_tree().items())))
    for path, content in fake_tree().items():
        assert f"SOURCES[{packing.module_name(path)!r}] = r'''".encode() + content in packed()


@pytest.mark.parametrize("text", ["", "'", "a\\", "'''quoted'''", "\\'", "a\r\nb", "\0", '"""a docstring"""\n', "é\n"])
def test_a_module_s_text_comes_back_whatever_is_in_it(text: str) -> None:
    script = packed({**fake_tree(), "trainer/strange.py": text.encode()})
    assert eval(packing.literal(text)) == text
    assert packing.literal(text).encode() in script


@pytest.mark.parametrize(
    ("path", "content", "says"),
    [
        ("trainer/table.json", b"{}", "no Python module"),
        ("trainer/more.py", b"\xff", "no UTF-8 text"),
        ("trainer/more.py", b"open(__file__)", "asks where its file is"),
    ],
)
def test_what_one_script_cannot_hold_is_refused(path: str, content: bytes, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        packed({**fake_tree(), path: content})


def test_notes_beside_the_modules_are_left_out() -> None:
    assert packed({**fake_tree(), "trainer/README.md": b"notes"}) == packed()


def run_script(folder: Path, data: Dataset, *words: str) -> subprocess.CompletedProcess[str]:
    """Python in that folder, with all that the contract says in its environment."""
    contract = {"DATA_DIR": str(data.train_dir), "RUN_DIR": str(folder), "SEED": "5", "ITERATIONS": "3", "SIZE": "tiny"}
    environment = {**os.environ, **contract, "MAX_WALLCLOCK_SECONDS": "60"}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)


def test_the_script_trains_alone_and_loads_what_it_left_even_beside_another_trainer(
    small_data: Dataset, tmp_path: Path
) -> None:
    (tmp_path / packing.SCRIPT).write_bytes(packed())
    (tmp_path / "trainer").mkdir()
    (tmp_path / "trainer" / "__init__.py").write_text("raise ImportError('another one')\n")
    said = run_script(tmp_path, small_data, packing.SCRIPT).stdout.splitlines()
    assert [json.loads(line)["phase"] for line in said] == ["setup", "train", "train", "train", "export", "export"]
    load = "import train_gpt; from trainer.model import load; print(callable(load('artifact.bin')))"
    assert run_script(tmp_path, small_data, "-c", load).stdout == "True\n"


def test_a_fault_in_the_script_names_the_module_and_its_line(small_data: Dataset, tmp_path: Path) -> None:
    (tmp_path / packing.SCRIPT).write_bytes(packed(fake_tree(BEHAVIOUR='"raise"')))
    with pytest.raises(subprocess.CalledProcessError) as error:
        run_script(tmp_path, small_data, packing.SCRIPT)
    source = fake_tree()["trainer/train.py"].decode().splitlines()
    line = source.index('        raise ValueError("the widget is bent")') + 1
    assert f'{packing.SCRIPT}/trainer.train.py", line {line}, in go_wrong' in error.value.stderr


def test_the_bench_takes_the_script_for_the_tree_that_it_is(small_data: Dataset, tmp_path: Path) -> None:
    check_alike(fake_tree(), small_data, tmp_path)


@pytest.mark.long
def test_the_shipped_trainer_s_script_leaves_the_same_artifact_to_the_last_bit(
    small_data: Dataset, tmp_path: Path
) -> None:
    check_alike(working_tree(ROOT), small_data, tmp_path)


def check_alike(tree: dict[str, bytes], data: Dataset, folder: Path) -> None:
    """The real bench, in its sandbox, finds in the script what it finds in the package."""
    script = packed(tree)
    with Slots(1, data, folder, lambda job, word: None) as slots:
        package, alone = (slots.submit(Job(one, TINY, seed=5)).result() for one in (tree, packing.as_tree(script)))
    assert alone.artifact_sha256 == package.artifact_sha256
    assert alone.val_bpb == package.val_bpb
    assert alone.code_bytes == len(script)


def test_a_submission_is_a_folder_of_the_challenge_s_layout_and_says_what_it_was(
    small_data: Dataset, tmp_path: Path
) -> None:
    repo = plumbing.here(make_repo(tmp_path / "person", small_data.root))
    git(repo.root, "config", "user.name", "A Person")
    commit = repo.commit_of("HEAD")
    folder = submit(repo, commit, TINY, 5, ("QUALITY=0.9",), "person", tmp_path / "golf")
    assert folder.parent == tmp_path / "golf" / "records" / "track_non_record_16mb"
    assert sorted(path.name for path in folder.iterdir()) == [
        *("README.md", "artifact.bin", "submission.json", "train.log", "train_gpt.py"),
    ]
    told = json.loads((folder / "submission.json").read_text())
    assert (told["author"], told["github_id"], told["commit"], told["seeds"]) == ("A Person", "person", commit, [5])
    assert told["bytes_code"] == (folder / "train_gpt.py").stat().st_size
    assert told["bytes_total"] == told["bytes_code"] + (folder / "artifact.bin").stat().st_size < 16_000_000
    assert told["steps"] == 3
    assert told["scored_tokens"] == small_data.splits["val"].tokens - small_data.splits["val"].documents
    bits = told["val_loss"] / math.log(2) * told["scored_tokens"] / told["scored_bytes"]
    assert bits == pytest.approx(told["val_bpb"], abs=1e-6)
    log = [json.loads(line) for line in (folder / "train.log").read_text().splitlines()]
    assert [word["step"] for word in log if word["phase"] == "train"] == [1, 2, 3]
    readme = (folder / "README.md").read_text()
    assert readme.splitlines()[2].startswith("**Not a record.**")
    assert readme.index("not on 8×H100") < readme.index("not on FineWeb") < readme.index("## What was measured")
    assert "ITERATIONS=3 SIZE=tiny MAX_WALLCLOCK_SECONDS=324 QUALITY=0.9 python train_gpt.py" in readme
    assert told["settings"] == {"QUALITY": "0.9"}
    assert "FineWeb" not in readme.partition("## What was measured")[2]
    assert told["unmet_conditions"][:2] == [line.removeprefix("- ") for line in readme.splitlines()[4:6]]
    with pytest.raises(UsageError, match="is there already"):
        submit(repo, commit, TINY, 5, ("QUALITY=0.9",), "person", tmp_path / "golf")


def test_more_bytes_than_the_cap_are_no_submission(small_data: Dataset, tmp_path: Path) -> None:
    repo = plumbing.here(make_repo(tmp_path / "person", small_data.root))
    settings = repo.root / "trainer" / "settings.py"
    settings.write_text(settings.read_text().replace("PADDING = 0", "PADDING = 16000000"))
    git(repo.root, "commit", "--all", "--quiet", "--message=ballast")
    with pytest.raises(RunFailed, match=r"artifact_too_large: .* golf allows 16,000,000"):
        submit(repo, repo.commit_of("HEAD"), TINY, 5, (), "", tmp_path / "golf")
    assert not (tmp_path / "golf").exists()


def test_on_the_challenge_s_own_text_only_what_differs_is_said(small_data: Dataset, tmp_path: Path) -> None:
    with Slots(1, small_data, tmp_path, lambda job, word: None) as slots:
        found = slots.submit(Job(packing.as_tree(packed()), TINY, 5)).result()
    one = Submission(
        commit="c" * 40,
        script=packed(),
        profile=golf(3, 1),
        seed=5,
        knobs={},
        found=found,
        data=replace(small_data, source="fineweb"),
        machine=Fingerprint(processor="a processor", blas="none", threads=1, mlx="0.32.4", device="cpu"),
        author="A Person",
        github_id="",
        timestamp=1_793_000_000_000,
    )
    unmet = " ".join(one.unmet())
    assert "a processor (cpu, 1 thread), MLX 0.32.4, not on 8×H100" in unmet
    assert "FineWeb" not in unmet
    assert "size class" not in unmet
    assert "fill `github_id` in" in submission.readme(one)
    slow = found.model_copy(update={"phases": {"train": found.phases["train"].model_copy(update={"wall_s": 700.0})}})
    assert "Training took 11 min 40 s, more than 10 minutes." in replace(one, found=slow).unmet()
