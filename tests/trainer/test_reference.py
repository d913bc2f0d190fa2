"""The reference file: taken only if it is the very one, and made to compute in float32 in one known place."""

from pathlib import Path

import pytest

from bench.errors import UsageError
from scripts import reference

STAND_IN = "class mx:\n    bfloat16, float32 = 'halves', 'singles'\n\n\n"
PLACE = "COMPUTE_DTYPE: str = mx.bfloat16\n"


def test_a_reference_that_is_not_named_is_asked_for_with_its_source() -> None:
    with pytest.raises(UsageError, match=r"REFERENCE is not set.*parameter-golf at commit 4908dc46"):
        reference.find({})


def test_another_version_of_the_file_is_refused_by_its_hash(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("print('not the reference')\n")
    with pytest.raises(UsageError, match=r"other\.py is another version, its sha256 is not 1bef7ed34160"):
        reference.find({"REFERENCE": str(tmp_path / "other.py")})


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="no/such/file is not a file"):
        reference.find({"REFERENCE": "no/such/file"})


@pytest.mark.parametrize(("float32", "expected"), [(False, "halves"), (True, "singles")])
def test_the_float32_form_differs_in_one_place(tmp_path: Path, float32: bool, expected: str) -> None:
    (tmp_path / "toy.py").write_text(STAND_IN + PLACE)
    computes_in = reference.load(tmp_path / "toy.py", float32=float32).COMPUTE_DTYPE
    assert computes_in == expected


@pytest.mark.parametrize("places", [0, 2])
def test_a_file_without_exactly_one_such_place_has_no_float32_form(tmp_path: Path, places: int) -> None:
    (tmp_path / "toy.py").write_text(STAND_IN + places * PLACE)
    with pytest.raises(UsageError, match=f"bfloat16 in {places} places"):
        reference.load(tmp_path / "toy.py", float32=True)
