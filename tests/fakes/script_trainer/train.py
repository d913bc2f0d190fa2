"""Train a bigram model on made-up text, and print how well it does, as training scripts do; or go wrong as asked."""

import os
import sys
import time

import numpy as np
from text import LETTERS, sample

SMOOTHING = 20.0
BEHAVIOUR = "well"
FORMAT = "val_bpb:          {:.6f}"
STEPS = 20

rng = np.random.default_rng(int(os.environ["SEED"]) if "SEED" in os.environ else None)
train, held_out = sample(rng, 4_000), sample(np.random.default_rng(0), 4_000)
counts = np.full((LETTERS, LETTERS), SMOOTHING)
for step, part in enumerate(np.array_split(np.stack([train[:-1], train[1:]]), STEPS, axis=1)):
    np.add.at(counts, (part[0], part[1]), 1.0)
    print(
        f"\rstep {step:05d} ({100 * step / STEPS:.1f}%) | loss: {3.0 - step / STEPS:.6f} | dt: 1ms", end="", flush=True
    )
print()
if BEHAVIOUR == "crash":
    sys.exit("the widget is bent")
if BEHAVIOUR == "sleep":
    time.sleep(600)
p = counts / counts.sum(axis=1, keepdims=True)
bits = float(-np.log2(p[held_out[:-1], held_out[1:]]).mean())
print("---")
if BEHAVIOUR == "twice":
    print(FORMAT.format(9.0))
if BEHAVIOUR == "nan":
    bits = float("nan")
if BEHAVIOUR != "mute":
    print(FORMAT.format(bits))
print(f"num_steps:        {STEPS}")
