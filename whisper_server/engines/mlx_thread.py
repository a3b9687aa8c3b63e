"""The one thread that works with mlx, which ties what it computes to the thread that began it.

One for the whole process, however many engines there are: there is one GPU. The thread ends with
the process and takes mlx's streams along; where they outlive it, the process may end in an abort
(seen with mlx 0.32 beside numba's threads).
"""

import atexit
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

MAX_EXIT_SECONDS = 5.0
"""How long the end of the process waits for a batch whose result is not needed any more."""

_T = TypeVar("_T")

_calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
_starting = threading.Lock()
_thread: threading.Thread | None = None


def in_mlx_thread(function: Callable[..., _T], *arguments: Any) -> _T:
    """Call `function` in mlx's thread, after the calls before; return or raise what it does."""
    _start()
    outcome: Future[_T] = Future()

    def call() -> None:
        try:
            outcome.set_result(function(*arguments))
        except BaseException as error:
            outcome.set_exception(error)

    _calls.put(call)
    return outcome.result()


def _start() -> None:
    global _thread
    with _starting:
        if _thread is None:
            _thread = threading.Thread(target=_run_calls, name="mlx", daemon=True)
            _thread.start()
            atexit.register(_end, _thread)


def _run_calls() -> None:
    while (call := _calls.get()) is not None:
        call()
        del call  # it holds a batch
    if mlx := sys.modules.get("mlx.core"):
        mlx.clear_streams()


def _end(thread: threading.Thread) -> None:
    _calls.put(None)
    thread.join(MAX_EXIT_SECONDS)
