"""Work that is done beside the night's own thread."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Protocol, TypeVar

T = TypeVar("T")


class Background(Protocol):
    """How work is put aside: in a thread, or in a test's own world."""

    def __call__(self, work: Callable[[], T], /) -> "Future[T]":
        """Do `work` some time; the future gives what it gave, or raises what it raised."""


def in_background(work: Callable[[], T], /) -> "Future[T]":
    """Do `work` in a thread that does not keep the process from ending."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # whoever takes the result gets it
            future.set_exception(error)

    Thread(target=run, name="background", daemon=True).start()
    return future
