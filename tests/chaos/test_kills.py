"""A slice of `python -m tests.chaos.kills`: one short night, killed a few times."""

from pathlib import Path

from bench.data import Dataset
from tests.chaos.kills import SLICE_IDEAS, Campaign, fast


def test_a_night_that_is_killed_again_and_again_is_the_night_it_would_have_been(
    small_data: Dataset, tmp_path: Path
) -> None:
    campaign = Campaign(fast(small_data.root, SLICE_IDEAS), seed=6, kills=2, folder=tmp_path)
    campaign.run(side_by_side=1)
    assert campaign.violations == []
    assert campaign.struck.total() == 2
