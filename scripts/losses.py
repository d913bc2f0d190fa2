"""Trains one of the two trainers on made-up text and prints its losses as one JSON line; `parity.py` starts it.

`FORM STEPS`: the form is `reference` (in float32) or `ours`; STEPS is how many steps of the run to do. Standard input
holds the recipe: size, knobs, the steps of the whole run, and the seed. Both forms start from the weights that trainer/
draws from the seed, and see the same batches.
"""

import json
import os
import sys
from itertools import islice

import mlx.core as mx

from scripts import reference
from scripts.markov import batches
from scripts.ours import Ours
from trainer.config import read_config


def main() -> None:
    """Losses in nats, one a step, each before its update."""
    mx.set_default_device(mx.Device(mx.cpu))
    form, steps = sys.argv[1], int(sys.argv[2])
    recipe = json.load(sys.stdin)
    config, seed = read_config(recipe["knobs"], recipe["size"]), recipe["seed"]
    ours = Ours(config, seed, recipe["steps"])
    step = ours.step
    if form == "reference":
        theirs = reference.Reference(reference.load(reference.find(os.environ), float32=True), seed)
        theirs.adopt(ours.params)
        step = theirs.step
    print(json.dumps([step(ids, targets) for ids, targets in islice(batches(config, seed), steps)]))


if __name__ == "__main__":
    main()
