"""Knobs are read from the settings' syntax tree and rewritten in place."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.knobs import Knobs, Range, read_knobs, read_value, set_knob
from bench.errors import ProposalError

SETTINGS = b'''"""Settings. \xc3\xa9\xe2\x82\xac"""

# The optimizer.
BETA1 = 0.9
BETA2 = 0.95  # Adam's second moment
LAYERS = 9
NAMES = ""; CLIP = 0.0
TIED = True

SIZES = {
    "tiny": {"LAYERS": 4, "NAMES": "caf\xc3\xa9", "CLIP": 1.0},  # shapes
    "golf": {},
}
RANGES = {"BETA2": ("linear", 0.8, 0.999), "LAYERS": ("int", 2, 12)}
'''
SHIPPED = Path(__file__).parents[2] / "trainer" / "settings.py"


def refusal(source: bytes, name: str, value: str, size: str = "tiny") -> tuple[str, str]:
    with pytest.raises(ProposalError) as caught:
        set_knob(source, name, value, size)
    assert "\n" not in str(caught.value)
    return caught.value.reason, caught.value.detail


def test_defaults_sizes_and_ranges_are_read_without_running_the_file() -> None:
    knobs = read_knobs(SETTINGS)
    assert knobs.defaults == {"BETA1": 0.9, "BETA2": 0.95, "LAYERS": 9, "NAMES": "", "CLIP": 0.0, "TIED": True}
    assert knobs.sizes == {"tiny": {"LAYERS": 4, "NAMES": "café", "CLIP": 1.0}, "golf": {}}
    assert knobs.ranges == {"BETA2": Range("linear", 0.8, 0.999), "LAYERS": Range("int", 2, 12)}


def test_a_size_is_in_force_over_the_default() -> None:
    knobs = read_knobs(SETTINGS)
    assert (knobs.in_force("LAYERS", "tiny"), knobs.in_force("LAYERS", "golf")) == (4, 9)
    with pytest.raises(ProposalError, match="no size 'huge' in SIZES: tiny, golf"):
        knobs.in_force("LAYERS", "huge")


@pytest.mark.parametrize(
    ("name", "value", "size", "old", "new"),
    [
        ("BETA2", "0.99", "tiny", "BETA2 = 0.95  # Adam", "BETA2 = 0.99  # Adam"),
        ("BETA2", " 1e-3 ", "tiny", "BETA2 = 0.95", "BETA2 = 1e-3"),
        ("BETA2", "-1", "golf", "BETA2 = 0.95", "BETA2 = -1.0"),
        ("LAYERS", "5", "tiny", '"LAYERS": 4,', '"LAYERS": 5,'),
        ("LAYERS", "5", "golf", "LAYERS = 9", "LAYERS = 5"),
        ("CLIP", "2.5", "tiny", '"café", "CLIP": 1.0}', '"café", "CLIP": 2.5}'),
        ("CLIP", "2.5", "golf", '""; CLIP = 0.0', '""; CLIP = 2.5'),
        ("NAMES", "'c_k,ü'", "tiny", '"NAMES": "café"', "\"NAMES\": 'c_k,ü'"),
        ("NAMES", '"a#b"  # why', "golf", 'NAMES = ""', 'NAMES = "a#b"'),
        ("TIED", "False", "tiny", "TIED = True", "TIED = False"),
    ],
)
def test_only_the_value_in_force_is_rewritten(name: str, value: str, size: str, old: str, new: str) -> None:
    text = SETTINGS.decode()
    assert text.count(old) == 1
    assert set_knob(SETTINGS, name, value, size) == text.replace(old, new).encode()


def test_windows_line_ends_stay_as_they_are() -> None:
    source = SETTINGS.replace(b"\n", b"\r\n")
    assert set_knob(source, "CLIP", "3.0", "tiny") == source.replace(b'"CLIP": 1.0', b'"CLIP": 3.0')


def test_an_unknown_knob_is_refused_with_its_nearest_names() -> None:
    assert refusal(SETTINGS, "BETA9", "0.9") == (
        "unknown_knob",
        "no knob BETA9 in trainer/settings.py; nearest: BETA2, BETA1",
    )
    assert refusal(SETTINGS, "QQQ", "0.9") == ("unknown_knob", "no knob QQQ in trainer/settings.py")
    assert refusal(SETTINGS, "SIZES", "{}")[0] == "unknown_knob"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LAYERS", "5.0"),
        ("LAYERS", "True"),
        ("LAYERS", '"5"'),
        ("BETA2", '"0.9"'),
        ("BETA2", "False"),
        ("BETA2", "1e999"),
        ("BETA2", "1" + "0" * 400),
        ("BETA2", "nan"),
        ("BETA2", "0.9 + 0.05"),
        ("BETA2", "__import__('os')"),
        ("BETA2", "[0.9]"),
        ("BETA2", "1j"),
        ("BETA2", "0.9\nBETA1 = 0.5"),
        ("BETA2", "0.9; BETA1 = 0.5"),
        ("BETA2", ""),
        ("BETA2", "# 0.9"),
        ("BETA2", "(" * 5000),
        ("NAMES", "c_k"),
        ("NAMES", '"""a\nb"""'),
        ("TIED", "0"),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, value: str) -> None:
    assert refusal(SETTINGS, name, value)[0] == "bad_value"


@pytest.mark.parametrize(("name", "value"), [("BETA2", "0.950"), ("CLIP", "1"), ("LAYERS", "4"), ("NAMES", "'café'")])
def test_the_value_already_in_force_is_no_change(name: str, value: str) -> None:
    assert refusal(SETTINGS, name, value)[0] == "no_change"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"import os", "line 15: only lines of the form NAME = literal"),
        (b"BETA3 = 0.9 * 2", "line 15: BETA3 is not a literal"),
        (b"BETA3 = [1]", "line 15: BETA3 must be a finite number"),
        (b"BETA3 = 1e999", "line 15: BETA3 must be a finite number"),
        (b"BETA1 = 0.8", "line 15: BETA1 is set a second time"),
        (b"beta = 0.8", "line 15: beta is not a knob's name"),
        (b"A = B = 1", "line 15: only lines"),
        (b"A =", "line 15: invalid syntax"),
        (b"if True: BETA1 = 1.0", "line 15: only lines"),
    ],
)
def test_settings_that_are_more_than_literals_are_refused_by_line(line: bytes, says: str) -> None:
    with pytest.raises(ProposalError, match=says) as caught:
        read_knobs(SETTINGS + line + b"\n")
    assert caught.value.reason == "bad_settings"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b'"LAYERS": 4', b'"LAYER": 4', "sets LAYER, which has no default"),
        (b'"LAYERS": 4', b'"LAYERS": 4.0', "its default makes it a whole number"),
        (b'"LAYERS": 4', b'"LAYERS": 4, "LAYERS": 5', "the same key twice"),
        (b'"golf": {}', b'"golf": 3', "SIZES must be"),
        (b"0.8, 0.999", b"0.999, 0.8", "is no range"),
        (b'"linear", 0.8', b'"log", 0.0', "is no range"),
        (b'"int", 2', b'"int", 2.5', "is no range"),
        (b'"int", 2', b'"linear", 2', "default that is a number"),
        (b'"int", 2', b'"cubic", 2', "must be"),
        (b'"BETA2": ("l', b'"BETA7": ("l', "default that is a number"),
    ],
)
def test_sizes_and_ranges_that_do_not_fit_the_defaults_are_refused(old: bytes, new: bytes, says: str) -> None:
    assert SETTINGS.count(old) == 1
    with pytest.raises(ProposalError, match=says):
        read_knobs(SETTINGS.replace(old, new))


def test_a_rewrite_that_does_not_come_into_force_is_refused() -> None:
    # the interpreter reads this file as Latin-7, so the text put in does not mean what was asked for
    source = b'# coding: iso8859-7\nNAMES = "a"\nSIZES = {"tiny": {}}\n'
    assert refusal(source, "NAMES", '"é"')[0] == "knob_without_effect"


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["tiny", "golf"]))
def test_any_number_set_is_the_number_in_force(value: float, size: str) -> None:
    if value == read_knobs(SETTINGS).in_force("CLIP", size):
        return
    assert read_knobs(set_knob(SETTINGS, "CLIP", repr(value), size)).in_force("CLIP", size) == value


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_string_set_is_the_string_in_force(value: str) -> None:
    if value == "café":
        return
    assert read_knobs(set_knob(SETTINGS, "NAMES", repr(value), "tiny")).in_force("NAMES", "tiny") == value


def test_a_value_is_given_back_as_it_was_written() -> None:
    assert read_value(" 1e-08  # small") == (1e-8, "1e-08")


def test_the_shipped_settings_declare_knobs_of_every_size_and_ranges_around_their_values() -> None:
    knobs: Knobs = read_knobs(SHIPPED.read_bytes())
    assert list(knobs.sizes) == ["tiny", "small", "golf"]
    assert knobs.ranges
    for size in knobs.sizes:
        for name in knobs.defaults:
            assert knobs.in_force(name, size) == knobs.sizes[size].get(name, knobs.defaults[name])
