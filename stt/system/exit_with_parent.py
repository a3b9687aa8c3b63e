"""Run another Python module that ends when its parent does.

    python -m stt.system.exit_with_parent MODULE ARG…

The parent holds the other end of this process's standard input. When the parent goes, even by
`kill -9`, the system closes that end, here a read returns, and the process ends itself the polite
way. Unlike Linux's death signal for orphans it works on every POSIX system, and it needs nothing
between fork and exec that is unsafe beside threads.
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
    # Not sys.stdin: a thread that waits in it would break the interpreter's own end.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
