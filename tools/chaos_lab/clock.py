"""Clocks that are wrong: a process's date, and not its monotonic clock, by libfaketime."""

import random
import shutil
import subprocess
from collections.abc import Mapping, Sequence

_AN_HOUR = "3600"


def has_clock_faker() -> bool:
    return shutil.which("faketime") is not None


def an_hour_off(rng: random.Random) -> str:
    """A clock's offset, forwards or backwards, as libfaketime reads it."""
    return rng.choice("+-") + _AN_HOUR


def with_wrong_clock(
    command: Sequence[str], environment: Mapping[str, str], offset_seconds: str
) -> tuple[list[str], dict[str, str]]:
    """The same Python module and its arguments, and its environment, with another date.

    libfaketime without its wrapper, which would be a process between us and our child.
    """
    where = ["faketime", "-f", "+0", "printenv", "LD_PRELOAD"]
    library = subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip()
    own = {
        "LD_PRELOAD": library,
        "FAKETIME": offset_seconds,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return ["tools.chaos_lab.wrong_clock", *command], {**environment, **own}
