"""Writing a file that is whole or not there, whatever it is called."""

from pathlib import Path

from bench import files


def test_a_name_as_long_as_the_file_system_takes_is_written_and_leaves_no_draft(tmp_path: Path) -> None:
    for path in (tmp_path / ("k" * 255), tmp_path / ("é" * 127)):
        files.write_atomic(path, b"a kernel")
        assert path.read_bytes() == b"a kernel"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_draft_that_a_dead_process_left_goes_with_the_next_write(tmp_path: Path) -> None:
    left = tmp_path / f".{'k' * files.DRAFT_NAME}.99999999.01234567"
    left.write_bytes(b"half")
    files.write_atomic(tmp_path / ("k" * 255), b"whole")
    assert not left.exists()
