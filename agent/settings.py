"""What is settled: what Claude is asked with, and what that costs, in `agent/claude.toml`; over it, and for what is
researched in place of `trainer/`, a repository's `nightshift.toml`.
"""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.calls import Usage
from bench.errors import UsageError
from bench.script import Script

SHIPPED = Path(__file__).with_name("claude.toml")
OWN = "nightshift.toml"
SCRIPT = "script"
"""The table that names one."""
MILLION = 1e6


class Price(BaseModel):
    """Dollars per million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cache_read: float | None = Field(default=None, ge=0)
    """As `input` where none is given."""
    write_5m: float | None = Field(default=None, ge=0)
    """Of the cache, for five minutes."""
    write_1h: float | None = Field(default=None, ge=0)
    """Of the cache, for an hour."""

    def dollars(self, usage: Usage) -> float:
        """What a call of that usage costs."""
        read, short, long = self._cache
        return (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cache_read_input_tokens * read
            + usage.ephemeral_5m_input_tokens * short
            + usage.ephemeral_1h_input_tokens * long
        ) / MILLION

    def at_most(self, input_tokens: int, output_tokens: int) -> float:
        """What a call of so many tokens costs, were every one of them charged at its dearest."""
        return (input_tokens * max(self.input, *self._cache) + output_tokens * self.output) / MILLION

    @property
    def _cache(self) -> tuple[float, float, float]:
        read, short, long = self.cache_read, self.write_5m, self.write_1h
        return (
            self.input if read is None else read,
            1.25 * self.input if short is None else short,
            2 * self.input if long is None else long,
        )


class Settings(BaseModel):
    """All that is settled about the language model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    effort: Literal["", "low", "medium", "high", "xhigh", "max"]
    max_tokens: int = Field(gt=0)
    timeout_s: float = Field(gt=0)
    prices: Mapping[str, Price]

    @property
    def price(self) -> Price:
        """The model's. Raises UsageError where it is not known: money could not be counted."""
        if self.model not in self.prices:
            table = f"[prices.{quoted(self.model)}]"
            raise UsageError(
                f"no price is known for {self.model}: put {table} with input and output, in dollars per million tokens,"
                f" into {OWN}"
            )
        return self.prices[self.model]


def read_settings(root: Path) -> Settings:
    """A repository's settings; ANTHROPIC_MODEL has the last word on the model. Raises UsageError."""
    merged = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))
    own = _parsed(root / OWN)
    own.pop(SCRIPT, None)
    if isinstance(own.get("prices"), dict):
        own["prices"] = {**merged["prices"], **own["prices"]}
    merged |= own
    if model := os.environ.get("ANTHROPIC_MODEL"):
        merged["model"] = model
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise _wrong(error) from error


def read_script(root: Path) -> Script | None:
    """The script that a repository names for research, if it names one. Raises UsageError."""
    table = _parsed(root / OWN).get(SCRIPT)
    if table is None:
        return None
    try:
        return Script.model_validate(table)
    except ValidationError as error:
        raise _wrong(error, SCRIPT) from error


def _wrong(error: ValidationError, *table: str) -> UsageError:
    first = error.errors()[0]
    where = ".".join(map(str, (*table, *first["loc"])))
    return UsageError(f"{OWN}, {where}: {first['msg'].removeprefix('Value error, ')}")


def quoted(name: str) -> str:
    """A key of TOML as it has to be written."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _parsed(path: Path) -> dict[str, Any]:
    """The tables of a file; none where there is no file."""
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name} is no TOML: {error}") from error
