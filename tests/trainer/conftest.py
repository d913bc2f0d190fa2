"""The repository's root on the path, a small corpus, and a small model with its artifact.

What is tested here runs operation by operation: kernels take a second each to compile, and the bench's tests run them.
"""

import sys
from pathlib import Path

import mlx.core as mx
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.trainer.toys import shaken, small_config, text, write_shard
from trainer.config import Config
from trainer.export import export
from trainer.model import GPT, new_model

mx.disable_compile()


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two training shards."""
    folder = tmp_path_factory.mktemp("shards")
    write_shard(folder / "toy_train_000000.bin", text(0, 6000))
    write_shard(folder / "toy_train_000001.bin", text(1, 4000))
    return folder


@pytest.fixture
def config() -> Config:
    return small_config(NUM_LAYERS=5)


@pytest.fixture
def model(config: Config) -> GPT:
    """A model in which nothing is zero: every weight has been moved from where it starts."""
    return shaken(new_model(config, seed=1))


@pytest.fixture
def artifact(model: GPT, config: Config, tmp_path: Path) -> Path:
    """The exported `model`."""
    path = tmp_path / "artifact.bin"
    export(model.weights(), config, path)
    return path
