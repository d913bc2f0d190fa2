"""The settings in force, as frozen records: `Config` holds the knobs, `Run` what the environment asks of one run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from trainer import settings

Value = TypeVar("Value", int, float, str)


class SettingsError(ValueError):
    """A setting that cannot be used; its text is one line."""


@dataclass(frozen=True)
class Config:
    """Every knob of `trainer/settings.py` under its own name in lower case, with the value in force."""

    vocab_size: int
    num_layers: int
    model_dim: int
    num_heads: int
    num_kv_heads: int
    mlp_mult: int
    logit_softcap: float
    rope_base: float
    qk_gain_init: float
    tied_embed_init_std: float
    loop_start: int
    loop_end: int
    num_loops: int
    train_seq_len: int
    train_batch_tokens: int
    mlx_max_microbatch_tokens: int
    matrix_lr: float
    tied_embed_lr: float
    scalar_lr: float
    beta1: float
    beta2: float
    adam_eps: float
    muon_momentum: float
    muon_momentum_warmup_start: float
    muon_backend_steps: int
    grad_clip_norm: float
    warmdown_frac: float
    muon_momentum_warmup_frac: float
    qat_frac: float
    ema_decay: float
    quant_bits: int
    protected_names: str
    int8_clip_percentile: float
    int8_scale_floor: float
    keep_float_max_numel: int
    keep_float_names: str
    control_tensor_name_patterns: str
    zstd_level: int
    plain: int

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.model_dim // self.num_heads


@dataclass(frozen=True)
class Run:
    """One training run: where, how long, from which seed, and with which knobs."""

    data_dir: Path
    run_dir: Path
    seed: int
    iterations: int
    size: str
    max_wallclock_seconds: float
    config: Config


def read_run(environ: Mapping[str, str]) -> Run:
    """Read a run from environment variables. Raises SettingsError where one is missing or unusable."""

    def needed(name: str) -> str:
        if not environ.get(name):
            raise SettingsError(f"{name} is not set: give it in the environment, or type `nightshift bench`")
        return environ[name]

    size = needed("SIZE")
    run = Run(
        data_dir=Path(needed("DATA_DIR")),
        run_dir=Path(needed("RUN_DIR")),
        seed=_parse("SEED", needed("SEED"), int),
        iterations=_parse("ITERATIONS", needed("ITERATIONS"), int),
        size=size,
        max_wallclock_seconds=_parse("MAX_WALLCLOCK_SECONDS", needed("MAX_WALLCLOCK_SECONDS"), float),
        config=read_config(environ, size),
    )
    if run.iterations < 1 or run.max_wallclock_seconds <= 0:
        raise SettingsError("ITERATIONS and MAX_WALLCLOCK_SECONDS must be positive")
    if not 0 <= run.seed < 2**31:
        raise SettingsError(f"SEED is {run.seed}: it must be between 0 and {2**31 - 1}")
    if not run.run_dir.is_dir():
        raise SettingsError(f"RUN_DIR {run.run_dir} is not a folder")
    return run


def read_config(environ: Mapping[str, str], size: str) -> Config:
    """Resolve every knob: the environment over `SIZES[size]` over the default.

    A value has the type of the default's literal. Raises SettingsError for an unknown size, a value of another type,
    or settings that no model can have.
    """
    if size not in settings.SIZES:
        raise SettingsError(f"SIZE is {size!r}: the sizes are {', '.join(settings.SIZES)}")
    values = {}
    for field in fields(Config):
        name = field.name.upper()
        default = getattr(settings, name)
        values[field.name] = type(default)(settings.SIZES[size].get(name, default))
        if name in environ:
            values[field.name] = _parse(name, environ[name], type(default))
    config = Config(**values)
    check(config)
    return config


def check(config: Config) -> None:
    """Raise SettingsError unless a model can be built from `config` and trained."""
    c = config
    at_least_one = "vocab_size num_layers model_dim num_heads num_kv_heads mlp_mult train_seq_len muon_backend_steps"
    rules = [(getattr(c, name) >= 1, f"{name.upper()} must be at least 1") for name in at_least_one.split()] + [
        (c.vocab_size <= 65536, "VOCAB_SIZE must be at most 65536: ids are 16 bits wide"),
        (
            c.model_dim % max(c.num_heads, 1) == 0,
            f"MODEL_DIM {c.model_dim} is not a multiple of NUM_HEADS {c.num_heads}: "
            f"set NUM_HEADS = {_divisor(c.model_dim, c.num_heads)}",
        ),
        (
            c.num_heads % max(c.num_kv_heads, 1) == 0,
            f"NUM_HEADS {c.num_heads} is not a multiple of NUM_KV_HEADS {c.num_kv_heads}: "
            f"set NUM_KV_HEADS = {_divisor(c.num_heads, c.num_kv_heads)}",
        ),
        (
            c.model_dim // max(c.num_heads, 1) % 2 == 0,
            "MODEL_DIM / NUM_HEADS is odd and rotary embedding pairs channels up: "
            f"set MODEL_DIM = {c.model_dim + c.num_heads}",
        ),
        (
            0 <= c.loop_start <= c.loop_end < c.num_layers and c.num_loops >= 0,
            f"the loop must keep 0 <= LOOP_START <= LOOP_END <= {c.num_layers - 1} and NUM_LOOPS >= 0, which is off",
        ),
        (0 < c.logit_softcap <= 80, "LOGIT_SOFTCAP must lie above 0 and at most at 80: beyond it exp overflows"),
        (c.rope_base > 0, "ROPE_BASE must be positive"),
        (c.qk_gain_init > 0, "QK_GAIN_INIT must be positive"),
        (
            min(c.train_batch_tokens, c.mlx_max_microbatch_tokens) >= c.train_seq_len,
            "TRAIN_BATCH_TOKENS and MLX_MAX_MICROBATCH_TOKENS must each hold a window of "
            f"TRAIN_SEQ_LEN {c.train_seq_len}: set both to {c.train_seq_len} or more",
        ),
        (0 <= c.beta1 < 1 and 0 <= c.beta2 < 1, "BETA1 and BETA2 must lie in [0, 1)"),
        (c.grad_clip_norm >= 0, "GRAD_CLIP_NORM must not be negative; 0 is off"),
        (0 <= c.warmdown_frac <= 1, "WARMDOWN_FRAC must lie in [0, 1]"),
        (0 <= c.muon_momentum_warmup_frac <= 1, "MUON_MOMENTUM_WARMUP_FRAC must lie in [0, 1]"),
        (0 <= c.qat_frac <= 1, "QAT_FRAC must lie in [0, 1]; 0 is off"),
        (0 <= c.ema_decay < 1, "EMA_DECAY must lie in [0, 1); 0 is off"),
        (c.quant_bits in (6, 8), f"QUANT_BITS is {c.quant_bits}: set it to 8 or 6"),
        (0 < c.int8_clip_percentile <= 100, "INT8_CLIP_PERCENTILE must lie in (0, 100]"),
        (c.int8_scale_floor >= 0, "INT8_SCALE_FLOOR must not be negative"),
        (c.plain in (0, 1), "PLAIN must be 0 or 1"),
        (1 <= c.zstd_level <= 22, "ZSTD_LEVEL must lie between 1 and 22"),
    ]
    for holds, complaint in rules:
        if not holds:
            raise SettingsError(complaint)


def _divisor(number: int, wanted: int) -> int:
    """The largest divisor of `number` that is at most `wanted`."""
    return max((n for n in range(1, min(wanted, number) + 1) if number % n == 0), default=1)


def _parse(name: str, text: str, kind: type[Value]) -> Value:
    try:
        value = kind(text)
    except ValueError:
        raise SettingsError(f"{name} is {text!r}: it must be of type {kind.__name__}") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingsError(f"{name} is {text!r}: it must be finite")
    return value
