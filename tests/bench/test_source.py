"""A candidate's text is parsed from any thread, by one at a time."""

import ast
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench import source


def test_no_two_threads_parse_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work, most, parse = list[bytes](), list[int](), ast.parse

    def slowly(content: bytes) -> ast.Module:
        at_work.append(content)
        most.append(len(at_work))
        time.sleep(0.01)
        at_work.remove(content)
        return parse(content)

    texts = [f"x = {number}\n".encode() for number in range(8)]
    with monkeypatch.context() as patched, ThreadPoolExecutor(4) as pool:
        patched.setattr(ast, "parse", slowly)
        trees = list(pool.map(source.parsed, texts))
    assert max(most) == 1
    assert [ast.unparse(tree) for tree in trees] == [text.decode().strip() for text in texts]
