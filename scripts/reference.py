"""The reference trainer: OpenAI's train_gpt_mlx.py, brought by the person; no line of it is kept here.

`find` works anywhere; the rest needs MLX and belongs in a process of its own, because the file reads its settings from
the environment while it is imported.
"""

import hashlib
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from bench.errors import UsageError
from trainer.config import Config

REPOSITORY = "https://github.com/openai/parameter-golf"
COMMIT = "4908dc46f21ed3fdd08d2fdca285deb2194b9599"
FILE = "train_gpt_mlx.py"
SHA256 = "1bef7ed34160ba2b00cd5d2235109e0255eed817c6b65107ac85326879b23542"
GET_IT = f"take {FILE} of {REPOSITORY} at commit {COMMIT}, and give its path as REFERENCE=PATH"

COMPUTES_IN = re.compile(r"^(COMPUTE_DTYPE\b.*\b)bfloat16$", re.MULTILINE)
MODEL_SETTINGS = (
    *("vocab_size", "num_layers", "num_heads", "num_kv_heads", "mlp_mult", "logit_chunk_tokens", "logit_softcap"),
    *("rope_base", "tied_embed_init_std", "qk_gain_init"),
)


def find(environ: Mapping[str, str]) -> Path:
    """The file that REFERENCE names. Raises UsageError where it is not that very file."""
    name = environ.get("REFERENCE")
    if not name:
        raise UsageError(f"REFERENCE is not set: {GET_IT}")
    path = Path(name).resolve()
    if not path.is_file():
        raise UsageError(f"REFERENCE {name} is not a file: {GET_IT}")
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise UsageError(f"REFERENCE {name} is another version, its sha256 is not {SHA256[:12]}…: {GET_IT}")
    return path


def provenance() -> dict[str, str]:
    """Where the file comes from."""
    return {"repository": REPOSITORY, "commit": COMMIT, "file": FILE, "sha256": SHA256}


def environment(path: Path, config: Config, iterations: int) -> dict[str, str]:
    """The variables under which the reference has the settings of `config` in a run of `iterations`.

    It knows most knobs by our names and takes no notice of others. Its schedules count steps, so that they agree with
    ours where the fractions of `iterations` are whole.
    """
    return {name.upper(): str(value) for name, value in asdict(config).items()} | {
        "REFERENCE": str(path),
        "GRAD_ACCUM_STEPS": "1",
        "ITERATIONS": str(iterations),
        "WARMDOWN_ITERS": str(round(config.warmdown_frac * iterations)),
        "MUON_MOMENTUM_WARMUP_STEPS": str(round(config.muon_momentum_warmup_frac * iterations)),
        "MAX_WALLCLOCK_SECONDS": "0",
    }


def load(path: Path, *, float32: bool) -> ModuleType:
    """Import the file; with `float32` after changing the one place that sets the type it computes in.

    Raises UsageError where that place is not there exactly once.
    """
    source = path.read_text(encoding="utf-8")
    if float32:
        source, places = COMPUTES_IN.subn(r"\1float32", source)
        if places != 1:
            raise UsageError(f"{path} sets COMPUTE_DTYPE to bfloat16 in {places} places and not in one: {GET_IT}")
    module = ModuleType("reference")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module


class Rows:
    """A batch in the form in which the reference asks its loader for one."""

    def __init__(self, ids: np.ndarray, targets: np.ndarray) -> None:
        self.ids, self.targets, self.given = ids, targets, 0

    def next_batch(self, tokens: int, length: int) -> tuple[Any, Any]:
        """The next `tokens` as inputs and targets (rows, length)."""
        import mlx.core as mx

        part = slice(self.given, self.given + tokens // length)
        self.given = part.stop
        return mx.array(self.ids[part], dtype=mx.int32), mx.array(self.targets[part], dtype=mx.int32)


class Reference:
    """The reference's model and optimizer, built and compiled as its main function builds and compiles them."""

    def __init__(self, module: ModuleType, seed: int) -> None:
        import mlx.core as mx
        from mlx.nn.utils import value_and_grad

        mx.random.seed(seed)
        self.module, self.args, self.steps = module, module.Hyperparameters(), 0
        args = self.args
        self.model = module.GPT(dim=args.model_dim, **{name: getattr(args, name) for name in MODEL_SETTINGS})
        self.optimizer = module.SplitOptimizers(self.model, args)
        state = self.model.state
        self.loss = mx.compile(self.model.loss, inputs=state, outputs=state)
        self.loss_and_grads = mx.compile(value_and_grad(self.model, self.model.loss), inputs=state, outputs=state)

    def adopt(self, weights: Mapping[str, Any]) -> None:
        """Take over weights by name. Raises ValueError where names or shapes are not the model's own."""
        from mlx.utils import tree_unflatten

        from trainer.model import flat

        own = {name: tuple(array.shape) for name, array in flat(self.model.parameters()).items()}
        given = {name: tuple(array.shape) for name, array in weights.items()}
        if own != given:
            raise ValueError(f"the two models differ in {sorted(dict(own.items() ^ given.items()))}")
        self.model.update(tree_unflatten(list(weights.items())))

    def step(self, ids: np.ndarray, targets: np.ndarray) -> float:
        """One turn of the training loop in its main function; returns the loss in nats before the update.

        MLX is lazy, and that loop leaves the optimizer's work to the next turn's evaluation; here it is done in its
        own turn, so that each step holds one whole step.
        """
        import mlx.core as mx
        from mlx.utils import tree_unflatten

        args, rate = self.args, self.args.lr_mul(self.steps, 0.0)
        loss, grads = self.module.loss_and_grad_chunked(args, Rows(ids, targets), self.loss_and_grads)
        flat = self.module.accumulate_flat_grads(None, grads, 1.0)
        if args.mlx_eager_eval:
            mx.eval(loss, flat)
        clipped = self.module.clip_grad_tree(tree_unflatten(list(flat.items())), args.grad_clip_norm)
        nats = float(loss.item())
        self.optimizer.step(self.model, clipped, step=self.steps, lr_mul=rate)
        mx.eval(self.model.parameters(), self.optimizer.muon.buffers)
        self.steps += 1
        return nats
