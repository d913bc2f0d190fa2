"""The model: a decoder-only transformer with the architecture of the Parameter Golf baseline.

Weightless RMSNorm (arXiv 1910.07467), rotary positions (2104.09864), grouped-query attention (2305.13245) with
QK-norm (2010.04245) and a learned gain a head, squared ReLU (2109.08668), skips from the first half of the depth to
the second, a mix with the embedding before every block, a tied head and a soft cap on its logits (2408.00118). Some
blocks may be passed through more than once (1807.03819).

Arrays are (batch, time, channel) unless a docstring says otherwise.
"""

# mypy: allow-untyped-calls

import math
import zlib
from collections.abc import Callable
from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx.nn.layers.base import Module
from mlx.nn.layers.embedding import Embedding
from mlx.utils import tree_flatten, tree_map_with_path, tree_unflatten

from trainer import fast
from trainer.config import Config
from trainer.export import ArtifactError, read_artifact

Form = Callable[..., mx.array]

LOG2_E = math.log2(math.e)
QUERY_BLOCK = 64


def on_gpu() -> bool:
    """Whether arrays live on a GPU by default."""
    return bool(mx.default_device() == mx.Device(mx.gpu))


def compute_dtype() -> mx.Dtype:
    """Type of the activations: bfloat16 on a GPU; float32 on a CPU, where halves are 20 times slower."""
    return mx.bfloat16 if on_gpu() else mx.float32


def chosen(plain: Form, config: Config) -> Form:
    """The one place that chooses: a form's twin in `fast.py` for float32 on a CPU, else (or under PLAIN) itself."""
    usable = not config.plain and not on_gpu() and compute_dtype() == mx.float32 and plain.__name__ in fast.TWINS
    return getattr(fast, plain.__name__) if usable else plain


def rms_norm(x: mx.array) -> mx.array:
    """Scale the last axis to a root mean square of one."""
    return mx.fast.rms_norm(x, None, 1e-6)


def exp2(x: mx.array) -> mx.array:
    """2 to the power x: on a CPU several times as fast as `mx.exp`, which compilers do not turn into vectors."""
    return mx.power(2.0, x)


def softcap(x: mx.array, cap: float) -> mx.array:
    """cap · tanh(x / cap)."""
    return cap * mx.tanh(x / cap)


def rotary_tables(time: int, head_dim: int, base: float) -> tuple[mx.array, mx.array]:
    """Cosines and signed sines of the rotary angles for `rotate`, each (time, head_dim)."""
    frequencies = base ** -(np.arange(0, head_dim, 2) / head_dim)
    angles = np.outer(np.arange(time), frequencies)
    cos, sin = np.cos(angles), np.sin(angles)
    return (
        mx.array(np.hstack([cos, cos]).astype(np.float32)),
        mx.array(np.hstack([-sin, sin]).astype(np.float32)),
    )


def rotate(x: mx.array, cos: mx.array, sin: mx.array) -> mx.array:
    """Turn each pair of channels (i, i + half) of x (batch, head, time, channel) by its position's angle."""
    left, right = mx.split(x, 2, axis=-1)
    return x * cos.astype(x.dtype) + mx.concatenate([right, left], axis=-1) * sin.astype(x.dtype)


def attention(q: mx.array, k: mx.array, v: mx.array, gain: mx.array, cos: mx.array, sin: mx.array) -> mx.array:
    """Causal attention on normalised, rotated queries and keys; k and v have as many heads or fewer.

    q, k, v are (batch, time, head, channel), gain is (head), and what comes out (batch, time, head · channel).
    """
    q, k, v = (x.swapaxes(1, 2) for x in (q, k, v))
    q = rotate(rms_norm(q), cos, sin) * gain.astype(q.dtype)[:, None, None]
    mixed = causal_attention(q, rotate(rms_norm(k), cos, sin), v).swapaxes(1, 2)
    return mixed.reshape(*mixed.shape[:2], -1)


def causal_attention(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
    """Softmax attention over the past and the present; q (batch, head, time, channel), k and v with fewer heads.

    On a CPU it is written out: a block of queries sees only the keys up to its end, and no maximum is subtracted,
    which normalised queries and keys allow (|score| is at most gain · √channel; float32 holds 2^127, but not the square
    of a sum that a quotient's gradient would take).
    """
    scale = 1 / math.sqrt(q.shape[-1])
    if on_gpu():
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask="causal")
    batch, heads, time, channel = q.shape
    groups = k.shape[1]
    q = (q * (scale * LOG2_E)).reshape(batch, groups, heads // groups, time, channel)
    past = mx.tril(mx.ones((time, time), dtype=q.dtype))
    out = []
    for start in range(0, time, QUERY_BLOCK):
        end = min(start + QUERY_BLOCK, time)
        queries = q[:, :, :, start:end].reshape(batch, groups, -1, channel)
        weights = exp2(queries @ k[:, :, :end].swapaxes(-1, -2)).reshape(batch, groups, -1, end - start, end)
        weights = (weights * past[start:end, :end]).reshape(batch, groups, -1, end)
        mixed = (weights @ v[:, :, :end]) * exp2(-mx.log2(weights.sum(axis=-1, keepdims=True)))
        out.append(mixed.reshape(batch, heads, end - start, channel))
    return mx.concatenate(out, axis=2)


def capped_logits(x: mx.array, embedding: mx.array, cap: float) -> mx.array:
    """Logits in float32 of x (batch, time, dim) under a head that is the embedding (vocab, dim) itself."""
    return softcap((x @ embedding.astype(x.dtype).T).astype(mx.float32), cap)


def cross_entropy(x: mx.array, embedding: mx.array, targets: mx.array, cap: float) -> mx.array:
    """Mean cross-entropy in nats of `capped_logits` against targets (batch, time).

    Capped logits cannot overflow exp, so that no maximum needs to be subtracted.
    """
    logits = capped_logits(x, embedding, cap)
    target = mx.take_along_axis(logits, targets[..., None], axis=-1).squeeze(-1)
    return mx.mean(mx.log(exp2(logits * LOG2_E).sum(axis=-1)) - target)


def flat(tree: object) -> dict[str, mx.array]:
    """A tree of parameters or gradients as one dictionary: "blocks.0.attn.c_q.weight" to its array."""
    return dict(tree_flatten(tree))


class Linear(Module):
    """A matrix without a bias, kept in float32 and used in the type of its input."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = mx.zeros((outputs, inputs))

    def __call__(self, x: mx.array, scale: mx.array | None = None) -> mx.array:
        """(…, inputs) to (…, outputs); `scale` (outputs) falls on the matrix, which is smaller than what it gives."""
        weight = self.weight if scale is None else scale[:, None] * self.weight
        return x @ weight.astype(x.dtype).T


class Attention(Module):
    """Causal grouped-query attention on normalised queries and keys."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        dim, kv_dim = config.model_dim, config.num_kv_heads * config.head_dim
        self.config = config
        self.c_q = Linear(dim, dim)
        self.c_k = Linear(dim, kv_dim)
        self.c_v = Linear(dim, kv_dim)
        self.proj = Linear(dim, dim)
        self.q_gain = mx.full((config.num_heads,), config.qk_gain_init)

    def __call__(self, x: mx.array, cos: mx.array, sin: mx.array, scale: mx.array) -> mx.array:
        """Attend within each window; one product gives queries, keys and values."""
        dim, kv_dim = self.c_q.weight.shape[0], self.c_k.weight.shape[0]
        weight = mx.concatenate([self.c_q.weight, self.c_k.weight, self.c_v.weight]).astype(x.dtype)
        parts = mx.split(x @ weight.T, [dim, dim + kv_dim], axis=-1)
        q, k, v = (part.reshape(*x.shape[:2], -1, self.config.head_dim) for part in parts)
        y = chosen(attention, self.config)(q, k, v, self.q_gain, cos, sin)
        return self.proj(y, scale)


class MLP(Module):
    """Two matrices around a squared ReLU."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.fc = Linear(config.model_dim, config.model_dim * config.mlp_mult)
        self.proj = Linear(config.model_dim * config.mlp_mult, config.model_dim)

    def __call__(self, x: mx.array, scale: mx.array) -> mx.array:
        """Each position by itself."""
        h = mx.square(mx.maximum(self.fc(x), 0))
        return self.proj(h, scale)


class Block(Module):
    """Attention, then MLP: each sees a normalised stream and adds to it through a learned scale a channel."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attn = Attention(config)
        self.mlp = MLP(config)
        self.attn_scale = mx.ones((config.model_dim,))
        self.mlp_scale = mx.ones((config.model_dim,))
        self.resid_mix = mx.stack([mx.ones((config.model_dim,)), mx.zeros((config.model_dim,))])

    def __call__(self, x: mx.array, x0: mx.array, cos: mx.array, sin: mx.array) -> mx.array:
        """Advance the stream x; x0 is the normalised embedding."""
        stream, start = self.resid_mix.astype(x.dtype)
        x = stream * x + start * x0
        x = x + self.attn(rms_norm(x), cos, sin, self.attn_scale)
        return x + self.mlp(rms_norm(x), self.mlp_scale)


def block_order(config: Config) -> list[int]:
    """The blocks that the stream passes through, in order: those from LOOP_START to LOOP_END NUM_LOOPS times more."""
    order = list(range(config.num_layers))
    loop = slice(config.loop_start, config.loop_end + 1)
    return order[: loop.stop] + order[loop] * config.num_loops + order[loop.stop :]


class GPT(Module):
    """Token ids (batch, time) to logits (batch, time, vocab)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.tok_emb = Embedding(config.vocab_size, config.model_dim)
        self.blocks = [Block(config) for _ in range(config.num_layers)]
        self.skip_weights = mx.ones((len(block_order(config)) // 2, config.model_dim))

    def weights(self) -> dict[str, mx.array]:
        """Every weight by name, such as "blocks.0.attn.c_q.weight"."""
        return flat(self.parameters())

    def hidden(self, ids: mx.array) -> mx.array:
        """The normalised stream after the last block: (batch, time, dim)."""
        cos, sin = rotary_tables(ids.shape[1], self.config.head_dim, self.config.rope_base)
        x = x0 = rms_norm(self.tok_emb(ids).astype(compute_dtype()))
        path = [self.blocks[i] for i in block_order(self.config)]
        half = len(path) // 2
        skips = []
        for block in path[:half]:
            x = block(x, x0, cos, sin)
            skips.append(x)
        for i, block in enumerate(path[half:]):
            if skips:
                x = x + self.skip_weights[i].astype(x.dtype) * skips.pop()
            x = block(x, x0, cos, sin)
        return rms_norm(x)

    def __call__(self, ids: mx.array) -> mx.array:
        """Logits in float32."""
        return capped_logits(self.hidden(ids), self.tok_emb.weight, self.config.logit_softcap)

    def loss(self, ids: mx.array, targets: mx.array) -> mx.array:
        """Mean cross-entropy in nats; ids and targets (batch, time)."""
        form = chosen(cross_entropy, self.config)
        return form(self.hidden(ids), self.tok_emb.weight, targets, self.config.logit_softcap)


def new_model(config: Config, seed: int) -> GPT:
    """A model at initialisation: output projections zero, other matrices uniform, the embedding normal.

    Each matrix draws from a generator of its own, named by `seed` and its own name: a change that adds a parameter
    leaves the others' first values as they were, so that runs of the same seed stay comparable.
    """
    mx.random.seed(seed)
    model = GPT(config)

    def first_value(name: str, array: mx.array) -> mx.array:
        key = mx.random.key((seed << 32) | zlib.crc32(name.encode()))
        if name == "tok_emb.weight":
            return config.tied_embed_init_std * mx.random.normal(array.shape, key=key)
        if name.endswith(".weight") and not name.endswith("proj.weight"):
            bound = 1 / math.sqrt(array.shape[1])
            return mx.random.uniform(-bound, bound, array.shape, key=key)
        return array

    model.update(tree_map_with_path(first_value, model.parameters()))
    return model


def load(path: str | Path) -> Callable[[mx.array | np.ndarray], mx.array]:
    """The model of an artifact, as a function of ids (batch, time) to float32 logits (batch, time, vocab).

    It keeps no state: a window's logits depend on that window alone. Raises ArtifactError for a file that is
    not a whole artifact of this version.
    """
    config, weights = read_artifact(path)
    model = GPT(config)
    expected = {name: array.shape for name, array in model.weights().items()}
    if expected != {name: array.shape for name, array in weights.items()}:
        raise ArtifactError(f"{path} does not hold the tensors of this model: it was made by other code")
    model.update(tree_unflatten(list(weights.items())))
    forward = mx.compile(model)
    return lambda ids: forward(mx.array(np.ascontiguousarray(ids, dtype=np.int32)))
