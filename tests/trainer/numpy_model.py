"""A second reading of the artifact and of the model, in float64 NumPy, that shares no code with the trainer.

It follows the description of the architecture literally: positions one by one, heads one by one, a plain softmax.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

Weights = dict[str, np.ndarray]


def read(path: Path) -> tuple[dict[str, Any], Weights]:
    """Settings and float64 weights of an artifact."""
    data = path.read_bytes()
    assert data[:8] == b"NIGHTSFT"
    assert int.from_bytes(data[8:12], "little") == 2
    position = 16 + int.from_bytes(data[12:16], "little")
    index = json.loads(zstandard.decompress(data[16:position]))
    weights = {}
    for tensor in index["tensors"]:
        frame = zstandard.decompress(data[position : position + tensor["bytes"]])
        position += tensor["bytes"]
        shape = tensor["shape"]
        if tensor["storage"] in ("int8", "int6"):
            rows = shape[0]
            scales = np.frombuffer(frame[: 2 * rows], "<f2").astype(np.float64)
            levels = np.frombuffer(frame[2 * rows :], "<i1").reshape(shape)
            assert np.abs(levels.astype(int)).max() <= {"int8": 127, "int6": 31}[tensor["storage"]]
            weights[tensor["name"]] = levels * scales[:, None]
        else:
            kind = {"float16": "<f2", "float32": "<f4"}[tensor["storage"]]
            weights[tensor["name"]] = np.frombuffer(frame, kind).reshape(shape).astype(np.float64)
    assert position == len(data)
    return index["config"], weights


def logits(settings: dict[str, Any], weights: Weights, window: np.ndarray) -> np.ndarray:
    """Logits (time, vocab) of one window of ids."""
    blocks = [*range(settings["num_layers"])]
    first, last = settings["loop_start"], settings["loop_end"]
    for _ in range(settings["num_loops"]):
        blocks[last + 1 : last + 1] = range(first, last + 1)
    layers = len(blocks)
    x = x0 = normalise(weights["tok_emb.weight"][window])
    kept: list[np.ndarray] = []
    for i, block in enumerate(blocks):
        if i >= layers // 2 and i - layers // 2 < layers // 2:
            x = x + weights["skip_weights"][i - layers // 2] * kept.pop()
        own = f"blocks.{block}."
        w = {name.removeprefix(own): v for name, v in weights.items() if name.startswith(own)}
        x = w["resid_mix"][0] * x + w["resid_mix"][1] * x0
        x = x + w["attn_scale"] * attention(settings, w, normalise(x))
        hidden = np.maximum(normalise(x) @ w["mlp.fc.weight"].T, 0) ** 2
        x = x + w["mlp_scale"] * (hidden @ w["mlp.proj.weight"].T)
        if i < layers // 2:
            kept.append(x)
    cap = settings["logit_softcap"]
    capped: np.ndarray = cap * np.tanh(normalise(x) @ weights["tok_emb.weight"].T / cap)
    return capped


def attention(settings: dict[str, Any], w: Weights, x: np.ndarray) -> np.ndarray:
    """Causal grouped-query attention, one head and one position at a time."""
    heads, groups = settings["num_heads"], settings["num_kv_heads"]
    channel = settings["model_dim"] // heads
    out = np.zeros_like(x)
    for head in range(heads):
        group = head // (heads // groups)
        mine, shared = slice(head * channel, (head + 1) * channel), slice(group * channel, (group + 1) * channel)
        q = rotary(normalise(x @ w["attn.c_q.weight"][mine].T), settings["rope_base"]) * w["attn.q_gain"][head]
        k = rotary(normalise(x @ w["attn.c_k.weight"][shared].T), settings["rope_base"])
        v = x @ w["attn.c_v.weight"][shared].T
        for t in range(len(x)):
            scores = k[: t + 1] @ q[t] / np.sqrt(channel)
            weights = np.exp(scores - scores.max())
            out[t, mine] = weights @ v[: t + 1] / weights.sum()
    return out @ w["attn.proj.weight"].T


def normalise(x: np.ndarray) -> np.ndarray:
    """RMSNorm without weights."""
    normal: np.ndarray = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6)
    return normal


def rotary(x: np.ndarray, base: float) -> np.ndarray:
    """Rotate channel pairs (i, i + half) as complex numbers."""
    half = x.shape[1] // 2
    angles = np.arange(len(x))[:, None] * base ** (-np.arange(half) / half)
    turned = (x[:, :half] + 1j * x[:, half:]) * np.exp(1j * angles)
    return np.concatenate([turned.real, turned.imag], axis=1)


def mean_loss(logits: np.ndarray, targets: np.ndarray) -> float:
    """Mean cross-entropy in nats."""
    top = logits.max(axis=-1, keepdims=True)
    normaliser = top[:, 0] + np.log(np.exp(logits - top).sum(axis=-1))
    return float(np.mean(normaliser - logits[np.arange(len(targets)), targets]))
