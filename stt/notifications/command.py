"""Commands: a program of this machine's user that is run for each event."""

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from stt.domain.notification import DeliveryFailure, Notification
from stt.domain.visible_text import without_controls

_STDERR = 2
_CHECK_SECONDS = 0.1
_MAX_SECONDS = 600.0
_END_SECONDS = 2.0
_MAX_CHARACTERS = 4_096  # of a variable: systems bound them


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the shell. Nothing of an event becomes a part of its text."""

    text: str = field(repr=False)
    rests: bool = False

    @property
    def key(self) -> str:
        return "command:" + hashlib.sha256(self.text.encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        return "--on-done"

    def deliver(
        self, notification: Notification, hold: Callable[[], bool]
    ) -> DeliveryFailure | None:
        """Run it; return why it failed, None if its exit code is 0.

        It gets the event in its environment, and as JSON on standard input; its output goes to
        standard error. `hold` is called all the time: once it returns False, the command is ended,
        as it is after ten minutes.
        """
        try:
            process = subprocess.Popen(
                self.text,
                shell=True,
                stdin=subprocess.PIPE,
                stdout=_STDERR,
                env=os.environ | _variables(notification),
                start_new_session=True,
            )
        except OSError as error:  # no memory or processes left
            return DeliveryFailure(f"it cannot be started: {error.strerror}")
        try:
            return _wait_for(process, notification.body.encode(), hold)
        finally:
            _end(process)


def _wait_for(
    process: subprocess.Popen[bytes], content: bytes, hold: Callable[[], bool]
) -> DeliveryFailure | None:
    deadline = time.monotonic() + _MAX_SECONDS
    unsent: bytes | None = content
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.communicate(unsent, timeout=_CHECK_SECONDS)
            code = process.returncode
            return None if code == 0 else DeliveryFailure(f"exit code {code}")
        unsent = None  # it goes on with what it was given first
        if time.monotonic() > deadline:
            return DeliveryFailure(f"it took longer than {_MAX_SECONDS / 60:g} min")
        if not hold():
            return DeliveryFailure("it was ended with the program that ran it")


def _variables(notification: Notification) -> dict[str, str]:
    recording = json.loads(notification.body)["data"].get("recording", {})
    variables = {
        "EVENT_TYPE": notification.type,
        "EVENT_ID": notification.event_id,
        "RECORDING_ID": str(recording.get("id") or ""),
        "RECORDING_NAME": str(recording.get("name") or ""),
    }
    return {name: without_controls(v)[:_MAX_CHARACTERS] for name, v in variables.items()}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command and what it has started, if it runs."""
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    if process.returncode is not None:
        return
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        with suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
            return
