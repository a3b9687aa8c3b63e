"""Run another Python module that ends when its parent does.

    python -m stt.system.exit_with_parent MODULE ARG…

The parent holds the other end of this process's standard input. When the parent ends, even by
`kill -9`, the system closes that end, the read here returns, and the process sends itself SIGTERM.
Unlike Linux's PR_SET_PDEATHSIG this works on every POSIX system, and runs nothing between fork and
exec, which is unsafe with threads.
"""

import os
import runpy
import signal
import sys
import threading
import time

_GRACE_SECONDS = 10.0


def main() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _end_with_parent() -> None:
    # Not sys.stdin: the interpreter crashes at exit if a thread waits in it.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
