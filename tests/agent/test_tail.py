"""A file that grows, read as it comes."""

from pathlib import Path

from agent.tail import Tail


def test_each_line_comes_once_and_a_half_one_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "grows"
    tail = Tail(path)
    assert tail.more() == (0, [])
    path.write_bytes(b"one\ntwo\nthr")
    assert tail.more() == (0, [b"one", b"two"])
    with path.open("ab") as file:
        file.write(b"ee\n\nfive\n")
    assert tail.more() == (2, [b"three", b"", b"five"])
    assert tail.more() == (5, [])


def test_another_file_in_its_place_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "grows"
    tail = Tail(path)
    path.write_bytes(b"one\ntwo\n")
    tail.more()
    (tmp_path / "other").write_bytes(b"three\nfour\nfive\n")
    (tmp_path / "other").rename(path)
    assert tail.more() == (0, [b"three", b"four", b"five"])
    path.write_bytes(b"six\n")
    assert tail.more() == (0, [b"six"])
    path.unlink()
    assert tail.more() == (0, [])
