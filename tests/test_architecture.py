"""The shape of the house: imports run one way, and files stay small."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("agent", "bench", "trainer")
FORBIDDEN = {"agent": {"trainer"}, "bench": {"agent", "trainer"}, "trainer": {"agent", "bench"}}
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).glob("*.py"))]


def imported(path: Path) -> set[str]:
    """Top-level names of the modules that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_imports_run_from_agent_to_bench_and_never_to_the_trainer(path: Path) -> None:
    assert not imported(path) & FORBIDDEN[path.parent.name]


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_a_file_stays_readable_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 320


def test_the_loop_fits_one_screen() -> None:
    assert len((ROOT / "agent" / "night.py").read_text().splitlines()) <= 100


def test_only_the_launchers_import_mlx() -> None:
    for path in SOURCES:
        if path.parent.name != "trainer" and not path.name.startswith("launch_"):
            assert "mlx" not in imported(path), path


def test_packages_are_flat() -> None:
    for package in PACKAGES:
        assert not [path for path in (ROOT / package).rglob("*.py") if path.parent != ROOT / package]
