"""A trainer's tree as one Python file: its modules' sources as they are, and a loader that finds them there.

The file can be run (`python train_gpt.py`), imported (`import train_gpt`, and then `trainer.model`), and laid out as
`trainer/__init__.py`, which is how the bench measures it: each module is the same text as in the tree.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath

from bench.errors import UsageError

FOLDER = "trainer"
SCRIPT = "train_gpt.py"
INIT = f"{FOLDER}/__init__.py"
ENTRY = f"{FOLDER}.train"

_HEAD = '''"""{title}

Run it with DATA_DIR, RUN_DIR, SEED, ITERATIONS, SIZE and MAX_WALLCLOCK_SECONDS in the environment: it trains on the
*_train_*.bin of DATA_DIR and leaves RUN_DIR/artifact.bin. After `import train_gpt`, trainer.model.load(path) gives
the model of an artifact: token ids (batch, time) to logits (batch, time, vocabulary).
"""

import importlib.abc
import importlib.util
import sys

SOURCES = {{}}
'''
_FOOT = '''

class Packed(importlib.abc.MetaPathFinder, importlib.abc.ExecutionLoader):
    """Finds and runs the modules above."""

    def find_spec(self, name, path=None, target=None):
        """The module of that name, where it is one of these."""
        return importlib.util.spec_from_loader(name, self) if name in SOURCES else None

    def get_filename(self, name):
        """What a traceback calls it."""
        return f"{__file__}/{name}.py"

    def get_source(self, name):
        """Its text."""
        return SOURCES[name]

    def is_package(self, name):
        """Whether it holds others."""
        return any(other.startswith(f"{name}.") for other in SOURCES)


sys.meta_path.insert(0, Packed())
if __name__ == "trainer":
    exec(SOURCES["trainer"])
elif __name__ == "__main__":
    sys.exit(importlib.import_module("trainer.train").main())
'''


def pack(tree: Mapping[str, bytes], title: str) -> bytes:
    """The modules of `tree` as one script, with `title` as its first line; the same bytes for the same arguments.

    Raises UsageError for a tree that is more than modules, one of which would be out of the script's reach.
    """
    sources: dict[str, str] = {INIT: ""}
    for path, content in sorted(tree.items()):
        if path.endswith(".md"):
            continue
        if not path.endswith(".py"):
            raise UsageError(f"{path} is no Python module, and a submission is one script: move what it holds into one")
        try:
            sources[path] = content.decode()
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} is no UTF-8 text, and a submission is one script") from error
        if "__file__" in sources[path]:
            raise UsageError(f"{path} asks where its file is (`__file__`), which a submission of one script has not")
    modules = [f"SOURCES[{module_name(path)!r}] = {literal(text)}\n" for path, text in sorted(sources.items())]
    return "\n".join([_HEAD.format(title=title), *modules, _FOOT]).encode()


def module_name(path: str) -> str:
    """The dotted name of a module by its path in the tree."""
    return ".".join(PurePosixPath(path.removesuffix("/__init__.py")).with_suffix("").parts)


def literal(text: str) -> str:
    """A string literal with that value: as it reads, where quotes and backslashes allow it."""
    raw = not any(part in text for part in ("'''", "\r", "\0")) and not text.endswith(("'", "\\"))
    return f"r'''{text}'''" if raw else repr(text)


def as_tree(script: bytes) -> dict[str, bytes]:
    """The script as the bench takes it: a tree that is nothing else."""
    return {INIT: script}
