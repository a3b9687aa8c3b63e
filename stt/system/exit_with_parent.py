"""Run another Python module that ends when its parent does.

    python -m stt.system.exit_with_parent [--users FILE] MODULE ARG…

The parent holds the other end of this process's standard input. When the parent ends, even by
`kill -9`, the system closes that end, the read here returns, and the process sends itself SIGTERM.
Unlike Linux's PR_SET_PDEATHSIG this works on every POSIX system, and runs nothing between fork and
exec, which is unsafe with threads.

With `--users`, the number of an open file, the process first stays for others, as
`stt.system.users_lock` says; it holds a record lock of that file (`lockf`) for as long as it lives.
"""

import os
import runpy
import signal
import sys
import threading
import time

_GRACE_SECONDS = 10.0
_USERS_CHECK_SECONDS = 0.25


def main() -> None:
    del sys.argv[0]
    users = None
    if sys.argv[0] == "--users":
        users = int(sys.argv[1])
        del sys.argv[:2]
        _show_life(users)
    threading.Thread(target=_end_with_parent, args=(users,), daemon=True).start()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _show_life(users: int) -> None:
    import fcntl  # not on Windows, where no server stays

    os.set_inheritable(users, False)
    fcntl.lockf(users, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _end_with_parent(users: int | None) -> None:
    # Not sys.stdin: the interpreter crashes at exit if a thread waits in it.
    while os.read(0, 1024):
        pass
    if users is not None:
        _wait_for_others(users)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os._exit(1)


def _wait_for_others(users: int) -> None:
    """Return once no process uses this one, and it need not stay for the next."""
    from stt.system.users_lock import stays, take

    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # the parent, who read them, has gone
        os.dup2(nowhere, stream)
    while stays(users) or not take(users):
        time.sleep(_USERS_CHECK_SECONDS)


if __name__ == "__main__":
    main()
