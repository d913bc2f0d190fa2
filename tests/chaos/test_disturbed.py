"""A slice of `python -m tests.chaos.disturbed`."""

from tests.chaos.disturbed import live


def test_whatever_a_person_does_between_cuts_nothing_of_either_is_lost() -> None:
    live(examples=1, steps=5)
