"""Know a process of this machine again, and that it has ended.

A process id alone proves nothing: it is given to another process later, containers with one host
name have the same ids, and two machines may have one name. Linux proves the machine by the id of
its boot and by the namespaces that ids and start times belong to; macOS by the id of its boot.
"""

import contextlib
import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_PROC = Path("/proc")
_BOOT_ID = _PROC / "sys/kernel/random/boot_id"
_NAMESPACES = ("pid", "time")
_SYSCTL_SECONDS = 2.0
_STATE, _THREADS, _START = 0, 17, 19  # fields of /proc/PID/stat after the name, from 0: proc(5)


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process: a hash of its machine and namespaces, its id, and when it started.

    `start` is in clock ticks since the boot, empty where the system does not say.
    """

    machine: str
    pid: int
    start: str

    @classmethod
    def of_this_process(cls) -> Self | None:
        """Return None where the system offers no proof."""
        machine = _this_machine()
        return None if machine is None else cls(machine, os.getpid(), _start_of(os.getpid()))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read what `str` wrote; return None for any other text."""
        machine, _, rest = text.partition(":")
        pid, colon, start = rest.partition(":")
        is_pid = pid.isascii() and pid.isdigit() and 0 < int(pid) < 2**31
        return cls(machine, int(pid), start) if machine and colon and is_pid else None

    def __str__(self) -> str:
        return f"{self.machine}:{self.pid}:{self.start}"

    def has_ended(self, seen_by: "ProcessIdentity") -> bool:
        """Return True on proof only; `seen_by` is this process."""
        if self.machine != seen_by.machine:
            return False
        try:
            os.kill(self.pid, 0)  # finds processes of other users too, which /proc may hide
        except ProcessLookupError:
            return True
        except (PermissionError, OverflowError):
            pass
        fields = _stat(self.pid)
        if fields is None or not self.start:
            return False
        return fields[_START] != self.start or _is_zombie(fields)


def _this_machine() -> str | None:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        if sys.platform == "linux":
            if str((_PROC / "self").readlink()) != str(os.getpid()):
                return None  # /proc shows another namespace than ours
            spaces = [str((_PROC / "self/ns" / name).readlink()) for name in _NAMESPACES]
            return _hash(_BOOT_ID.read_text("ascii"), *spaces)
        if sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
            boot = subprocess.check_output(command, text=True, timeout=_SYSCTL_SECONDS).strip()
            return _hash(boot) if boot else None
    return None


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _start_of(pid: int) -> str:
    fields = _stat(pid)
    return fields[_START] if fields else ""


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat after the name; None where they cannot be read."""
    with contextlib.suppress(OSError):
        fields = (_PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2]
        if len(words := fields.split()) > _START:
            return words
    return None


def _is_zombie(fields: list[str]) -> bool:
    """Return whether it has ended and waits for its parent; its other threads would go on."""
    return fields[_STATE] in ("Z", "X") and int(fields[_THREADS]) <= 1
