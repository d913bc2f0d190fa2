"""The artifact: the model's settings and its quantized weights, compressed, in one file.

Layout, little-endian: 8 bytes of magic, a uint32 version, a uint32 length, then zstandard frames with checksums: first
one of that length with the index as JSON (`config`: every knob; `tensors`: name, storage, shape and length in bytes of
each tensor's frame, sorted by name), then the tensors' in that order. A frame of its own gives each tensor a code made
for its levels: at `tiny` the file is 3 % smaller than as one frame. Storages:

- ``float32``: as it is;
- ``float16``: rounded;
- ``int8`` and ``int6``: one float16 scale a row, then one signed byte an element, its level, from −127 to 127 or from
  −31 to 31; a weight is level × scale. Six bits take a byte too: some levels are far more frequent than others, which
  zstandard sees in whole bytes and not in bits packed across them.

The same model and settings always give the same bytes.
"""

# mypy: allow-untyped-calls

import json
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import zstandard

from trainer.config import Config

MAGIC = b"NIGHTSFT"
VERSION = 2
HEADER = struct.Struct("<8sII")
FLOATS = {"float32": "<f4", "float16": "<f2"}
LEVELS = {"int8": 127, "int6": 31}

Arrays = dict[str, mx.array]


class ArtifactError(ValueError):
    """A file that is no whole artifact of this version, or weights that make none; its text is one line."""


def export(weights: Arrays, config: Config, path: str | Path) -> list[dict[str, Any]]:
    """Write the artifact of a model's weights, by name, to `path`, and return what each part of it costs.

    Parts are the header with the index, and each tensor: `name`, `storage`, `shape`, `raw_bytes` before compression and
    `bytes` in the file, which add up to its size. Raises ArtifactError for weights that are not finite.
    """
    compressor = zstandard.ZstdCompressor(level=config.zstd_level, write_checksum=True)
    tensors, raw_bytes, frames = [], [], []
    for name, weight in sorted(weights.items()):
        if not mx.isfinite(weight).all().item():
            raise ArtifactError(f"the weight {name} is not finite: nothing was exported")
        storage = choose_storage(name, weight.size, config)
        raw = b"".join(np.array(part).tobytes() for part in store(weight, storage, config))
        raw_bytes.append(len(raw))
        frames.append(compressor.compress(raw))
        tensors.append({"name": name, "storage": storage, "shape": weight.shape, "bytes": len(frames[-1])})
    index = json.dumps({"config": asdict(config), "tensors": tensors}, separators=(",", ":")).encode()
    head = compressor.compress(index)
    Path(path).write_bytes(HEADER.pack(MAGIC, VERSION, len(head)) + head + b"".join(frames))
    first = {"name": "header and index", "storage": "json", "shape": (), "bytes": HEADER.size + len(head)}
    sizes = zip([first, *tensors], [HEADER.size + len(index), *raw_bytes], strict=True)
    return [{**part, "raw_bytes": raw} for part, raw in sizes]


def choose_storage(name: str, size: int, config: Config) -> str:
    """How a tensor of `size` elements is stored: control ones float32, small and listed ones float16, others int."""
    if named(name, config.control_tensor_name_patterns):
        return "float32"
    if size <= config.keep_float_max_numel or named(name, config.keep_float_names):
        return "float16"
    return "int6" if config.quant_bits == 6 and not named(name, config.protected_names) else "int8"


def named(name: str, patterns: str) -> bool:
    """Whether `name` contains one of the comma-separated `patterns`."""
    return any(part.strip() in name for part in patterns.split(",") if part.strip())


def as_stored(weights: Arrays, config: Config) -> Arrays:
    """The weights by name, in float32, as whoever reads the artifact will see them."""
    return {
        name: restore(store(weight, choose_storage(name, weight.size, config), config), weight.shape)
        for name, weight in weights.items()
    }


def store(weight: mx.array, storage: str, config: Config) -> list[mx.array]:
    """The arrays that an artifact holds of a weight: one of floats, or scales and levels."""
    if storage in LEVELS:
        return quantize(weight, LEVELS[storage], config)
    return [weight.astype(mx.float16 if storage == "float16" else mx.float32)]


def restore(parts: list[mx.array], shape: Any) -> mx.array:  # noqa: ANN401
    """The float32 weight of what `store` gave."""
    *scales, values = (part.astype(mx.float32) for part in parts)
    return (scales[0][:, None] * values.reshape(len(scales[0]), -1) if scales else values).reshape(shape)


def quantize(weight: mx.array, highest: int, config: Config) -> list[mx.array]:
    """Scales (rows,), float16, and levels (rows, columns), int8, up to `highest` either way; a vector is one row.

    A row is clipped at the INT8_CLIP_PERCENTILE of its magnitudes and its step is at least INT8_SCALE_FLOOR. The floor
    is a step and not a number of levels, and so the same for 6 bits as for 8: rows within 31 such steps come out alike,
    and only the larger ones pay. Levels are counted in steps as stored, after rounding to float16.
    """
    rows = weight.astype(mx.float32).reshape(weight.shape[0] if weight.ndim > 1 else 1, -1)
    limit = percentile(mx.abs(rows), config.int8_clip_percentile)
    scales = mx.maximum(limit / highest, config.int8_scale_floor).astype(mx.float16)
    steps = mx.where(scales > 0, scales, 1).astype(mx.float32)[:, None]
    return [scales, mx.clip(mx.round(rows / steps), -highest, highest).astype(mx.int8)]


def percentile(rows: mx.array, share: float) -> mx.array:
    """What `share` per cent of each row (rows, columns) lie at or below, in float32, to the last bit as NumPy has it.

    Like `numpy.quantile` it lies on the line between the two nearest elements in order. `mx.partition` finds those in
    a seventh of the time of a sort.
    """
    place = np.float32(rows.shape[1] - 1) * np.float32(share / 100)
    below = int(place)
    rest = mx.partition(rows, below, axis=1)[:, below:]
    low, high = rest[:, 0], rest[:, 1:].min(axis=1) if rest.shape[1] > 1 else rest[:, 0]
    above = place - np.float32(below)
    gap = high - low
    return high - gap * float(1 - above) if above >= 0.5 else low + gap * float(above)


def read_artifact(path: str | Path) -> tuple[Config, Arrays]:
    """The settings and the float32 weights of an artifact. Raises ArtifactError for anything but a whole one."""
    data = memoryview(Path(path).read_bytes())
    if len(data) < HEADER.size or data[: len(MAGIC)] != MAGIC:
        raise ArtifactError(f"{path} is not an artifact: it does not start with {MAGIC.decode()}")
    _, version, length = HEADER.unpack_from(data)
    if version != VERSION:
        raise ArtifactError(
            f"{path} is an artifact of version {version} and this trainer reads version {VERSION}: "
            "load it with the commit that wrote it, or type `nightshift bench` to make one afresh"
        )
    decompressor = zstandard.ZstdDecompressor()
    try:
        place = HEADER.size + length
        index = json.loads(decompressor.decompress(data[HEADER.size : place]))
        weights = {}
        for tensor in index["tensors"]:
            frame = decompressor.decompress(data[place : place + tensor["bytes"]])
            weight = restore(split(frame, tensor["storage"], tensor["shape"]), tensor["shape"])
            mx.async_eval(weight)  # while the next frame is decompressed
            weights[tensor["name"]] = weight
            place += tensor["bytes"]
        return Config(**index["config"]), weights
    except (zstandard.ZstdError, ValueError, TypeError, KeyError) as error:
        raise ArtifactError(f"{path} is damaged or was made by other code: {error}") from error


def split(frame: bytes, storage: str, shape: list[int]) -> list[mx.array]:
    """The arrays that `store` gave, from their joined bytes."""
    if storage not in LEVELS:
        return [mx.array(np.frombuffer(frame, FLOATS[storage]))]
    rows = shape[0] if len(shape) > 1 else 1
    return [mx.array(np.frombuffer(frame, "<f2", rows)), mx.array(np.frombuffer(frame, "i1", offset=2 * rows))]
