"""Stand-ins that tests run for real: a fast trainer, and repositories that hold it."""

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent


def fake_tree(**knobs: str) -> dict[str, bytes]:
    """The fast trainer's files, by their path in a repository, with some knobs' literals replaced."""
    tree = {f"trainer/{path.name}": path.read_bytes() for path in sorted((HERE / "trainer").glob("*.py"))}
    lines = tree["trainer/settings.py"].decode().splitlines()
    for name, literal in knobs.items():
        lines = [f"{name} = {literal}" if line.startswith(f"{name} = ") else line for line in lines]
    return tree | {"trainer/settings.py": ("\n".join(lines) + "\n").encode()}


def make_repo(folder: Path, data: Path, ideas: str = "") -> Path:
    """A person's repository in `folder`: the fast trainer and a queue, committed, with prepared data beside them."""
    for name, content in fake_tree().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "kb").mkdir()
    (folder / "kb" / "ideas.md").write_text(ideas)
    (folder / "README.md").write_text("a person's own file\n")
    (folder / ".gitignore").write_text("/data\n__pycache__/\n")
    (folder / "data").symlink_to(data)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=the start")
    return folder


def with_prompts(folder: Path) -> Path:
    """The repository with the words that Claude is asked with, uncommitted."""
    root = HERE.parents[1]
    shutil.copytree(root / "prompts", folder / "prompts")
    shutil.copy(root / "AGENTS.md", folder / "AGENTS.md")
    return folder


def git(folder: Path, *words: str) -> str:
    """One git command in `folder`; returns what it printed."""
    who = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")
    done = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()
