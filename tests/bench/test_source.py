"""A candidate's text is parsed from any thread."""

import ast
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.source import parsed

SOURCES = [path.read_bytes() for path in sorted((Path(__file__).parents[2] / "agent").glob("*.py"))]


def test_threads_that_parse_side_by_side_do_not_disturb_each_other() -> None:
    with ThreadPoolExecutor(4) as pool:
        trees = list(pool.map(parsed, SOURCES * 4))
    assert [ast.dump(tree) for tree in trees[: len(SOURCES)]] == [ast.dump(parsed(source)) for source in SOURCES]
