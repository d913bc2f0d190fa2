"""Work that is done beside the night's own thread."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread

Background = Callable[[Callable[[], None]], "Future[None]"]


def in_background(work: Callable[[], None]) -> "Future[None]":
    """Do `work` in a thread that does not keep the process from ending."""
    future: Future[None] = Future()

    def run() -> None:
        try:
            work()
            future.set_result(None)
        except BaseException as error:  # whoever takes the result gets it
            future.set_exception(error)

    Thread(target=run, name="background", daemon=True).start()
    return future
