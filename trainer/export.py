"""The artifact: the model's settings and its quantized weights in one compressed file.

Layout, little-endian: 8 bytes of magic, a uint32 version, then one zstandard frame with a checksum. Inside the frame a
uint32 with the length of an index, the index as JSON (`config`: every knob; `tensors`: name, storage and shape of each
tensor, sorted by name), and the tensors' bytes in that order. Storages:

- ``float32``: as it is;
- ``float16``: rounded;
- ``int8``: one float16 scale a row, then one signed byte an element; a weight is byte × scale.

The same model and settings always give the same bytes.
"""

import json
import math
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import zstandard

from trainer.config import Config

MAGIC = b"NIGHTSFT"
VERSION = 1
HEADER = struct.Struct("<8sI")
LENGTH = struct.Struct("<I")
FLOATS = {"float32": "<f4", "float16": "<f2"}


class ArtifactError(ValueError):
    """A file that is no whole artifact of this version, or weights that make none; its text is one line."""


def export(weights: dict[str, mx.array], config: Config, path: str | Path) -> int:
    """Write the artifact of a model's weights, by name, to `path` and return its size in bytes.

    Raises ArtifactError for weights that are not finite.
    """
    tensors, buffers = [], []
    for name, array in sorted(weights.items()):
        weight = np.array(array.astype(mx.float32))
        if not np.isfinite(weight).all():
            raise ArtifactError(f"the weight {name} is not finite: nothing was exported")
        storage = choose_storage(name, weight.size, config)
        tensors.append({"name": name, "storage": storage, "shape": weight.shape})
        buffers += quantize(weight, config) if storage == "int8" else [weight.astype(FLOATS[storage])]
    index = json.dumps({"config": asdict(config), "tensors": tensors}, separators=(",", ":")).encode()
    body = LENGTH.pack(len(index)) + index + b"".join(buffer.tobytes() for buffer in buffers)
    compressor = zstandard.ZstdCompressor(level=config.zstd_level, write_checksum=True)
    artifact = HEADER.pack(MAGIC, VERSION) + compressor.compress(body)
    Path(path).write_bytes(artifact)
    return len(artifact)


def choose_storage(name: str, size: int, config: Config) -> str:
    """How a tensor of `size` elements is stored: control ones float32, small and listed ones float16, others int8."""
    if named(name, config.control_tensor_name_patterns):
        return "float32"
    if size <= config.keep_float_max_numel or named(name, config.keep_float_names):
        return "float16"
    return "int8"


def named(name: str, patterns: str) -> bool:
    """Whether `name` contains one of the comma-separated `patterns`."""
    return any(part.strip() in name for part in patterns.split(",") if part.strip())


def quantize(weight: np.ndarray, config: Config) -> list[np.ndarray]:
    """Scales (rows, float16) and levels (rows × columns, int8) of a weight; a vector is one row.

    A row is clipped at the INT8_CLIP_PERCENTILE of its magnitudes and its step is at least INT8_SCALE_FLOOR. Levels
    are counted in steps as stored, after rounding to float16.
    """
    rows = weight.reshape(weight.shape[0] if weight.ndim > 1 else 1, -1)
    limit = np.quantile(np.abs(rows), config.int8_clip_percentile / 100, axis=1)
    scales = np.maximum(limit / 127, config.int8_scale_floor).astype("<f2")
    steps = np.where(scales > 0, scales, 1).astype(np.float32)[:, None]
    return [scales, np.clip(np.round(rows / steps), -127, 127).astype(np.int8)]


def read_artifact(path: str | Path) -> tuple[Config, dict[str, np.ndarray]]:
    """The settings and the float32 weights of an artifact. Raises ArtifactError for anything but a whole one."""
    data = Path(path).read_bytes()
    if len(data) < HEADER.size or data[: len(MAGIC)] != MAGIC:
        raise ArtifactError(f"{path} is not an artifact: it does not start with {MAGIC.decode()}")
    _, version = HEADER.unpack_from(data)
    if version != VERSION:
        raise ArtifactError(f"{path} is an artifact of version {version}: this trainer reads version {VERSION}")
    try:
        body = zstandard.ZstdDecompressor().decompress(data[HEADER.size :])
        (length,) = LENGTH.unpack_from(body)
        index = json.loads(body[LENGTH.size : LENGTH.size + length])
        config = Config(**index["config"])
        weights = read_tensors(index["tensors"], body[LENGTH.size + length :])
    except (zstandard.ZstdError, struct.error, ValueError, TypeError, KeyError) as error:
        raise ArtifactError(f"{path} is damaged or was made by other code: {error}") from error
    return config, weights


def read_tensors(tensors: list[dict[str, Any]], buffers: bytes) -> dict[str, np.ndarray]:
    """Take each tensor of an index from the joined buffers, as float32."""
    weights, offset = {}, 0

    def take(dtype: str, count: int) -> np.ndarray:
        nonlocal offset
        array = np.frombuffer(buffers, dtype, count, offset)
        offset += array.nbytes
        return array.astype(np.float32)

    for tensor in tensors:
        shape, storage = tensor["shape"], tensor["storage"]
        count = math.prod(shape)
        if storage == "int8":
            scales = take("<f2", shape[0] if len(shape) > 1 else 1)[:, None]
            weight = scales * take("i1", count).reshape(len(scales), -1)
        else:
            weight = take(FLOATS[storage], count)
        weights[tensor["name"]] = weight.reshape(shape)
    return weights
