"""Started in a process of its own: how far the candidate's hand-written gradients are from those of the plain forms.

Takes one argument, the folder of the candidate's tree; the environment is a training run's. Each twin that
`trainer/fast.py` lists in `TWINS` is compared by itself, in a whole model of the run's own settings, with the model of
`plain = 1`. What comes out is one JSON line: `twins` holds, for each, its `name`, whether it `ran` under these
settings, and the relative differences of the `loss` and of the gradient that is worst, under `gradient`, with the name
of its `tensor`.

Of a trainer that lists twins it needs `trainer.config.read_run`, a setting `plain`, `trainer.model.new_model` and
`trainer.train.gradient_function`. It stands alone and leaves with the bench, as launch_train does.
"""

import ctypes
import importlib
import json
import math
import os
import sys
import threading
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

NOISE = 0.2
"""What every weight is moved by, as a standard deviation: projections that start at zero would hide gradients."""
WINDOWS = 2
FLOOR = 1e-4
"""A gradient counts as at least this share of the model's largest: what is zero but for rounding has no true value."""


def leave_with_the_bench() -> None:
    """End this process as soon as the bench's end of standard input closes."""

    def wait() -> None:
        os.read(0, 1)
        os._exit(125)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Compare, and print the line."""
    tree = Path(sys.argv[1]).resolve()
    leave_with_the_bench()
    if os.environ.get("BLAS"):
        ctypes.CDLL(os.environ.pop("BLAS"), mode=ctypes.RTLD_GLOBAL)
    sys.path.insert(0, str(tree))
    fast = importlib.import_module("trainer.fast")
    if not Path(fast.__file__ or "").resolve().is_relative_to(tree):
        sys.exit(f"trainer is not the candidate's: {fast.__file__}")
    table = getattr(fast, "TWINS", {})
    print(json.dumps({"phase": "setup", "twins": compare(fast, table) if table else []}), flush=True)


def compare(fast: ModuleType, table: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a twin. Exits with one line where the plain model is not plain."""
    import mlx.core as mx

    # A kernel takes longer to compile than all of this runs.
    mx.disable_compile()
    run = importlib.import_module("trainer.config").read_run(os.environ)
    ran: set[str] = set()
    for name in table:
        setattr(fast, name, noted(name, getattr(fast, name), ran))
    expected = loss_and_gradients(replace(run.config, plain=1), run.seed)
    if ran:
        sys.exit(f"PLAIN = 1 must run no twin, and ran {', '.join(sorted(ran))}")
    rows = []
    for name, mirrors in table.items():
        # `TWINS` is what trainer.model.chosen goes by.
        fast.TWINS = {name: mirrors}  # type: ignore[attr-defined]
        found = loss_and_gradients(run.config, run.seed)
        rows.append({"name": name, "ran": name in ran, **differences(found, expected)})
    return rows


def noted(name: str, form: Callable[..., Any], ran: set[str]) -> Callable[..., Any]:
    """`form`, which adds `name` to `ran` when it is called."""

    def noting(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401  # whatever a form takes and gives
        ran.add(name)
        return form(*arguments, **named)

    return noting


def loss_and_gradients(config: Any, seed: int) -> dict[str, Any]:  # noqa: ANN401  # the candidate's own record
    """The loss, under the name "", and every gradient by name, of some random tokens near the initialisation."""
    import mlx.core as mx
    from mlx.utils import tree_map_with_path

    def moved(name: str, weight: mx.array) -> mx.array:
        key = mx.random.key(zlib.crc32(name.encode()))
        return weight + NOISE * mx.random.normal(weight.shape, dtype=weight.dtype, key=key)

    model = importlib.import_module("trainer.model").new_model(config, seed)
    model.update(tree_map_with_path(moved, model.trainable_parameters()))
    shape = (WINDOWS, config.train_seq_len + 1)
    tokens = mx.random.randint(0, config.vocab_size, shape, key=mx.random.key(seed))
    # A model that draws random numbers draws the same ones each time.
    mx.random.seed(seed)
    function = importlib.import_module("trainer.train").gradient_function(model)
    loss, gradients = function(tokens[:, :-1], tokens[:, 1:])
    mx.eval(loss, gradients)
    return {"": loss, **gradients}


def differences(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """The relative difference of the losses, and the worst one among the gradients with its tensor's name.

    That of a tensor is its largest difference over its largest value; it is infinite where anything is not finite.
    """
    largest = {name: float(abs(array).max()) for name, array in expected.items()}
    top = max(value for name, value in largest.items() if name)

    def relative(name: str) -> float:
        difference = float(abs(found[name] - expected[name]).max())
        share = difference / max(largest[name], FLOOR * top, sys.float_info.min)
        return share if math.isfinite(share) else math.inf

    apart = {name: relative(name) for name in expected}
    loss = apart.pop("")
    worst = max(apart, key=apart.__getitem__)
    return {"loss": loss, "gradient": apart[worst], "tensor": worst}


if __name__ == "__main__":
    main()
