"""Started in a run's process: makes sure that `trainer` is the candidate's own, then trains it.

Takes one argument, the folder the candidate's tree was laid out in. Stands alone: a candidate's process has no part of
the bench but this file. The bench holds the other end of standard input; when that closes, the bench is gone, and so
is this process.
"""

import ctypes
import importlib
import os
import sys
import threading
from pathlib import Path


def leave_with_the_bench() -> None:
    """End this process as soon as the bench's end of standard input closes."""

    def wait() -> None:
        os.read(0, 1)
        os._exit(125)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Train the candidate."""
    tree = Path(sys.argv[1]).resolve()
    leave_with_the_bench()
    if os.environ.get("BLAS"):
        ctypes.CDLL(os.environ.pop("BLAS"), mode=ctypes.RTLD_GLOBAL)
    sys.path.insert(0, str(tree))
    train = importlib.import_module("trainer.train")
    if not Path(train.__file__ or "").resolve().is_relative_to(tree):
        sys.exit(f"trainer is not the candidate's: {train.__file__}")
    sys.exit(train.main())


if __name__ == "__main__":
    main()
