"""Count tokens of a part of the text that the seed chooses, and leave an artifact; or go wrong in a named way."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from trainer import settings


def knob(name: str) -> str:
    """A knob's value in force."""
    return os.environ.get(name, str(getattr(settings, name)))


def say(**word: object) -> None:
    """One line of progress."""
    print(json.dumps(word), flush=True)


def main() -> int:
    """Train, as far as the behaviour asked for allows."""
    behaviour = knob("BEHAVIOUR")
    if behaviour == "silent":
        time.sleep(600)
    if behaviour == "mute":
        return 0
    say(phase="setup", step=0, tokens=0, elapsed_s=0.0)
    steps, out = int(os.environ["ITERATIONS"]), Path(os.environ["RUN_DIR"])
    tokens = np.fromfile(sorted(Path(os.environ["DATA_DIR"]).glob("*_train_*.bin"))[0], dtype="<u2", offset=1024)
    rng = np.random.default_rng(int(os.environ["SEED"]))
    seen = tokens[rng.integers(0, len(tokens), size=20_000)]
    for step in range(1, steps + 1):
        say(phase="train", step=step, loss=7.0 - step / steps, tokens=step * 100, elapsed_s=0.0)
        if step == 2:
            go_wrong(behaviour)
    counts = np.bincount(seen, minlength=1024) + 1.0
    quality = float(knob("QUALITY"))
    probabilities = quality * counts / counts.sum() + (1 - quality) / 1024
    if behaviour == "nan":
        probabilities[5] = np.nan
    say(phase="export", step=steps, tokens=steps * 100, elapsed_s=0.0)
    padding = int(knob("PADDING"))
    content = np.log(probabilities).astype("<f4").tobytes() + bytes(padding)
    if behaviour == "symlink":
        (out / "real").write_bytes(content)
        (out / "artifact.bin").symlink_to(out / "real")
    elif behaviour != "no_artifact":
        (out / "artifact.bin").write_bytes(content)
    parts = [{"name": "log_p", "storage": "float32", "shape": [1024], "raw_bytes": 4096, "bytes": 4096}]
    parts += [{"name": "ballast", "storage": "zeros", "shape": [], "raw_bytes": padding, "bytes": padding}]
    if behaviour == "miscount":
        parts.pop()
    said = {} if behaviour == "tell_no_sizes" else {"parts": parts}
    say(phase="export", step=steps, tokens=steps * 100, elapsed_s=0.0, **said)
    return 0


def go_wrong(behaviour: str) -> None:
    """Misbehave in the middle of training."""
    if behaviour == "hang":
        time.sleep(600)
    elif behaviour == "raise":
        raise ValueError("the widget is bent")
    elif behaviour == "nan_loss":
        say(phase="train", step=3, loss=float("nan"), tokens=300, elapsed_s=0.0)
        time.sleep(600)
    elif behaviour == "rising_loss":
        for step, loss in ((3, 18.0), (4, 29.0)):
            say(phase="train", step=step, loss=loss, tokens=100 * step, elapsed_s=0.0)
        time.sleep(600)
    elif behaviour == "endless":
        while True:
            print("x" * 1000, flush=True)
    elif behaviour == "endless_stderr":
        while True:
            print("x" * 1000, file=sys.stderr, flush=True)
    elif behaviour == "babble":
        for line in (
            "[" * 5000,
            '{"phase": "train", "step": 1e400}',
            '{"phase": {}}',
            '{"phase": "train", "tokens": null}',
        ):
            print(line, flush=True)
        say(phase="train", step=10**400, loss=10**400)
    elif behaviour == "dither":
        while True:
            say(phase="setup")
            say(phase="compile")
            time.sleep(0.01)
    elif behaviour == "abort":
        os.abort()
    elif behaviour == "early":
        say(phase="export", step=2, tokens=200, elapsed_s=0.0)
        os.environ["ITERATIONS"] = "2"
        (Path(os.environ["RUN_DIR"]) / "artifact.bin").write_bytes(np.zeros(1024, dtype="<f4").tobytes())
        sys.exit(0)
    elif behaviour == "daemon":
        subprocess.Popen(["/bin/sleep", "611"], start_new_session=True)
    elif behaviour.startswith("sleep "):
        time.sleep(float(behaviour.removeprefix("sleep ")))


if __name__ == "__main__":
    sys.exit(main())
