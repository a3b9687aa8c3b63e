"""Runs a module under libfaketime: `python -m tools.chaos_lab.wrong_clock MODULE ARG…`.

libfaketime 0.9.10 takes the monotonic deadline of Python's `time.sleep` for a date, and the sleep
fails (EINVAL). Waiting for an event that never comes is left in peace.
"""

import runpy
import sys
import threading
import time


def _sleep(seconds: float) -> None:
    threading.Event().wait(seconds)


def main() -> None:
    setattr(time, "sleep", _sleep)  # noqa: B010
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
