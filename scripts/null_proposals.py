"""How often the real decision keeps a change that is none: null proposals made of one champion's own runs.

    python -m scripts.null_proposals [PROPOSALS]       10,000 where no number is given

Every run of the shipped trainer under a fresh seed (agent/experience.json, made by `nightshift calibrate`) can stand
for a champion or for a candidate that changed nothing but its random numbers: the hardest null change there is, as it
pairs no better than unrelated runs do. A proposal draws its pairs from them without replacement and goes through
`verdict.decide` look by look. Printed are the share that was kept, its 95 % interval (Clopper and Pearson, Biometrika
26(4), 1934), and the rate that is stated.
"""

import sys

import numpy as np

from agent import verdict
from agent.experience import COMMITTED, read
from agent.proxy import share
from scripts.simulate import settle

PROPOSALS = 10_000


def main(proposals: str = str(PROPOSALS)) -> None:
    """Print what came of them."""
    experience = next(one for one in read(COMMITTED) if not one.profiles)
    noise, scores = experience.noise("confirm", ""), np.array(experience.scores["confirm"])
    rng = np.random.default_rng(1)
    if len(scores) < 2 * verdict.LOOKS[-1]:
        sys.exit(f"{len(scores)} runs are too few for a proposal's pairs: nightshift calibrate --seeds 64")
    count, kept, spent = int(proposals), 0, 0
    for _ in range(count):
        champions, candidates = rng.choice(scores, (2, verdict.LOOKS[-1]), replace=False)
        decided, look = settle(candidates - champions, noise)
        kept += decided.status == "keep"
        spent += look
    found = share(kept, count)
    print(f"{len(scores)} runs of one champion, standard deviation {1000 * scores.std(ddof=1):.2f} thousandths")
    print(f"{count:,} null proposals, {spent / count:.2f} pairs each: {kept} kept, {found.share:.2%}", end="")
    print(f" (95 % interval {found.low:.2%} to {found.high:.2%}); at most {verdict.ERROR_RATE:.2%} is stated")


if __name__ == "__main__":
    main(*sys.argv[1:])
