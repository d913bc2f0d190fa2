"""The published FineWeb shards of Parameter Golf, fetched from the Hugging Face hub.

The layout of the published set is that of openai/parameter-golf, `data/cached_challenge_fineweb.py`: a manifest names
the datasets, how many shards each has, and the tokenizer that each was made with.
"""

import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from bench.data import TOKENIZER, Dataset, SplitName, open_dataset, replacing, seal
from bench.errors import DataError
from bench.shards import shard_name
from bench.tokenizer import VOCAB_SIZE

REPOSITORY = "willdepueoai/parameter-golf"
PREFIX = "datasets"
DATASET = "fineweb10B_sp1024"
MANIFEST = f"{PREFIX}/manifest.json"
SHARD = f"{PREFIX}/datasets/{DATASET}/{{}}"

ATTEMPTS = 3


def prepare(root: Path, progress: Callable[[str, float], None], train_shards: int = 1) -> Dataset:
    """Downloads the published validation shards and the first `train_shards` + 1 training shards into `root`.

    The last of those training shards becomes the audit split: the published set has no sealed one, a training shard
    that is never trained on is drawn from the same shuffled documents, and taking the one after the trained ones
    leaves the training order what the field uses. Files come from one commit of the repository and stay in the hub's
    own cache (HF_HOME; HF_ENDPOINT names another server), so that a second time needs no download.

    Raises DataError with one line when the hub cannot be reached, lacks a file, or has fewer shards than asked for.
    """
    progress(f"asking the hub for {DATASET}", 0.0)
    manifest_path = _download(MANIFEST, "main", lambda share: None)
    # The hub's cache keeps files under snapshots/COMMIT/; the others are then asked for from that same commit.
    commit = manifest_path.parents[len(PurePosixPath(MANIFEST).parts) - 1].name
    val_count, train_count, tokenizer = _read_manifest(manifest_path)
    if not 1 <= train_shards < train_count:
        raise DataError(
            f"{DATASET} has {train_count} training shards and one is kept for audit: {train_shards} are off"
        )
    wanted: list[tuple[str, str]] = [(f"{PREFIX}/{tokenizer}", TOKENIZER)]
    splits: list[tuple[SplitName, str, range]] = [
        ("val", "val", range(val_count)),
        ("train", "train", range(train_shards)),
        ("audit", "train", range(train_shards, train_shards + 1)),
    ]
    for split, published, indices in splits:
        for place, index in enumerate(indices):
            remote = SHARD.format(shard_name("fineweb", published, index))
            wanted.append((remote, f"{split}/{shard_name('fineweb', split, place)}"))
    with replacing(root) as folder:
        for i, (remote, local) in enumerate(wanted):
            name, share = PurePosixPath(remote).name, 0.9 / len(wanted)

            def advance(done: float, name: str = name, start: float = i * share, share: float = share) -> None:
                progress(f"downloading {name}", start + done * share)

            shutil.copyfile(_download(remote, commit, advance), folder / local)
        progress("checking", 0.9)
        seal(folder, "fineweb", VOCAB_SIZE)
    progress("prepared", 1.0)
    return open_dataset(root)


def _read_manifest(path: Path) -> tuple[int, int, str]:
    """The numbers of validation and training shards, and the tokenizer's path below the prefix."""
    try:
        manifest = json.loads(path.read_bytes())
        dataset = next(entry for entry in manifest["datasets"] if entry["name"] == DATASET)
        tokenizer = next(entry for entry in manifest["tokenizers"] if entry["name"] == dataset["tokenizer_name"])
        model = tokenizer.get("model_path") or tokenizer["path"]
        return int(dataset["stats"]["files_val"]), int(dataset["stats"]["files_train"]), str(model)
    except (KeyError, StopIteration, TypeError, ValueError) as error:
        raise DataError(f"the manifest of {REPOSITORY} does not describe {DATASET} as expected: {error!r}") from error


def _download(remote: str, revision: str, advance: Callable[[float], None]) -> Path:
    """The local path of one file of the repository at `revision`; `advance` is told the share done (0..1)."""
    # The hub's library reads these once, when it is imported. Without Xet it downloads over plain HTTP and counts each
    # file's bytes once.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_SYMLINKS_WARNING", "1")
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential
    from tqdm import tqdm  # type: ignore[import-untyped]

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)

    class Meter(tqdm):  # type: ignore[misc]
        """A bar that draws nothing and tells `advance` instead."""

        def __init__(self, *, total: float | None = None, initial: float = 0, **_: object) -> None:
            super().__init__(disable=True)
            self.done, self.whole = initial, total

        def update(self, n: float | None = 1) -> None:
            self.done += n or 0
            advance(min(self.done / self.whole, 1.0) if self.whole else 0.0)

    missing = (RemoteEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError)

    def passing(error: BaseException) -> bool:
        return isinstance(error, HfHubHTTPError) and not isinstance(error, missing)

    # The library itself waits for a network that is away, but gives up when a download is answered with an error.
    again = Retrying(
        retry=retry_if_exception(passing), stop=stop_after_attempt(ATTEMPTS), wait=wait_exponential(0.5), reraise=True
    )
    try:
        # The set is public: no token of the person's is sent.
        found = again(
            hf_hub_download, REPOSITORY, remote, repo_type="dataset", revision=revision, token=False, tqdm_class=Meter
        )
    except missing as error:
        raise DataError(f"the hub has no {remote} in {REPOSITORY}") from error
    # The library raises errors of its own, of the file system and of whichever HTTP client it is built on.
    except Exception as error:
        cause = error.__cause__ or error
        reason = next(iter(str(cause).strip().splitlines()), type(cause).__name__)
        raise DataError(f"could not download {remote} from the hub, check the network: {reason}") from error
    return Path(str(found))
