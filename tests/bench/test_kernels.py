"""Compiled kernels: vectors from the compiler, a store by tree, nothing shared where nothing should be."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench import kernels, machine

TREE, PARENT, STRANGER = "a" * 64, "b" * 64, "c" * 64

needs_compiler = pytest.mark.skipif(kernels.compiler().folder is None, reason="no g++ here, or no Linux")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def left(home: Path, *names: str) -> Path:
    """A run's TMPDIR with kernels of those names in it, as MLX leaves them."""
    folder = home / "mlx" / "0.32.4" / "cpu"
    folder.mkdir(parents=True)
    for name in names:
        (folder / f"lib{name}.so").write_text(f"code of {name}")
        (folder / f"{name}.cpp").write_text("source")
    return home


def found(home: Path) -> list[str]:
    return sorted(path.name for path in home.rglob("*") if path.is_file())


def lent(tmp_path: Path, *trees: str, machine: str = "this") -> list[str]:
    home = tmp_path / f"lent-{len(list(tmp_path.iterdir()))}"
    home.mkdir()
    kernels.lend(trees, machine, home)
    return found(home)


def test_a_run_is_lent_what_its_tree_compiled_and_else_what_its_parent_did(tmp_path: Path) -> None:
    kernels.keep(PARENT, "this", left(tmp_path / "one", "add"))
    assert lent(tmp_path, TREE, PARENT) == ["libadd.so"]
    kernels.keep(TREE, "this", left(tmp_path / "two", "add", "tanh"))
    assert lent(tmp_path, TREE, PARENT) == ["libadd.so", "libtanh.so"]
    assert lent(tmp_path, STRANGER, "") == []


def test_kernels_of_another_machine_are_nothing_here(tmp_path: Path) -> None:
    kernels.keep(TREE, "that", left(tmp_path / "one", "add"))
    assert lent(tmp_path, TREE, machine="this") == []


def test_what_a_run_writes_into_its_copy_reaches_no_other_run(tmp_path: Path) -> None:
    kernels.keep(PARENT, "this", left(tmp_path / "one", "add"))
    home = tmp_path / "candidate"
    home.mkdir()
    kernels.lend([TREE, PARENT], "this", home)
    kernel = next(home.rglob("*.so"))
    kernel.write_text("something else")
    kernels.keep(PARENT, "this", home)
    again = tmp_path / "again"
    again.mkdir()
    kernels.lend([PARENT], "this", again)
    assert next(again.rglob("*.so")).read_text() == "code of add"


def test_a_link_is_no_kernel(tmp_path: Path) -> None:
    home = left(tmp_path / "one", "add")
    (home / "mlx" / "0.32.4" / "cpu" / "liblink.so").symlink_to("/etc/hostname")
    kernels.keep(TREE, "this", home)
    assert lent(tmp_path, TREE) == ["libadd.so"]


def test_runs_that_end_together_do_not_prune_each_other_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "TREES", 2)
    home = left(tmp_path / "home", *(f"K{n}" for n in range(20)))

    def end(tree: str, at: int) -> None:
        for n in range(20):
            kernels.keep(tree, "this", home)
            copy = tmp_path / f"copy-{at}-{n}"
            copy.mkdir()
            kernels.lend([tree], "this", copy)
            assert len(found(copy)) in (0, 20)

    with ThreadPoolExecutor(4) as pool:
        for ended in [pool.submit(end, name * 64, at) for at, name in enumerate("abcd")]:
            ended.result()


def test_the_least_used_trees_are_forgotten(tmp_path: Path) -> None:
    for number in range(kernels.TREES + 2):
        kernels.keep(f"{number:064}", "this", left(tmp_path / f"run-{number}", "add"))
        store = next((tmp_path / "cache").rglob(f"{number:064}"))
        os.utime(store, (number, number))
    assert lent(tmp_path, f"{0:064}") == []
    assert lent(tmp_path, f"{kernels.TREES + 1:064}") == ["libadd.so"]


def test_trees_that_compile_nothing_take_no_place_from_those_that_do(tmp_path: Path) -> None:
    kernels.keep(TREE, "this", left(tmp_path / "run", "add"))
    for number in range(kernels.TREES + 2):
        empty = tmp_path / f"empty-{number}"
        empty.mkdir()
        kernels.keep(f"{number:064}", "this", empty)
    assert lent(tmp_path, TREE) == ["libadd.so"]
    assert not kernels.known(f"{0:064}", "this")


SPEED = """
import time, mlx.core as mx
x = mx.random.normal((256, 4096)); mx.eval(x)
forms = {"plain": lambda x: mx.tanh(x * 1.5), "compiled": mx.compile(lambda x: mx.tanh(x * 1.5))}
best = {}
for name, form in forms.items():
    mx.eval(form(x))
    times = []
    for _ in range(9):
        start = time.process_time(); mx.eval(form(x)); times.append(time.process_time() - start)
    best[name] = min(times)
odd = forms["compiled"](mx.array([float("nan"), float("inf"), 1.0]))
print(best["plain"] / best["compiled"], odd.tolist())
"""


@needs_compiler
def test_a_compiled_tanh_is_a_vector_of_them_and_keeps_what_is_not_finite(tmp_path: Path) -> None:
    environment = machine.environment() | {"TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    command = [sys.executable, "-c", SPEED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    ratio, values = done.stdout.split(maxsplit=1)
    assert float(ratio) > 3
    assert values.split(", ")[0].endswith("nan")
    assert [float(value.strip(" ]\n")) for value in values.split(", ")[1:]] == pytest.approx([1.0, 0.90514825])
