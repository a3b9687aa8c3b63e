"""Checks that run side by side, each in bounded time, and what they find."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from stt.errors import AudioStoreUnavailable, DatabaseUnavailable, ServerUnavailable, SttError

State = Literal["ok", "warning", "problem", "skipped"]

MIN_SECRET_LENGTH = 6
_OTHER_PROBLEM = SttError.exit_code

_ADVICE = {
    DatabaseUnavailable.exit_code: "Is it up, and is the address right? Is a firewall between?",
    ServerUnavailable.exit_code: "Is it up (curl URL/ready), and is STT_SERVER_URL right?",
}
"""What to do, by the exit code of an error whose own text does not say it."""

_STORE_ADVICE = "Is it up, and are AWS_ENDPOINT_URL_S3 and AWS_DEFAULT_REGION right?"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the result; `advice` says what to do about a warning or a problem.

    `exit_code` is the command's, if this is its first problem.
    """

    check: str
    state: State
    message: str
    advice: str = ""
    exit_code: int = 0

    @classmethod
    def of(cls, check: str, error: SttError) -> "Finding":
        is_store = isinstance(error, AudioStoreUnavailable)
        advice = _STORE_ADVICE if is_store else _ADVICE.get(error.exit_code, "")
        return cls(check, "problem", str(error), advice, error.exit_code)

    @classmethod
    def problem(cls, check: str, message: str, advice: str, kind: type[SttError]) -> "Finding":
        return cls(check, "problem", message, advice, kind.exit_code)


@dataclass(frozen=True, slots=True)
class Check:
    """A check that changes nothing. `run` may raise SttError, and may take `limit_seconds`.

    `kind`: the error that an answer which does not come stands for.
    """

    name: str
    run: Callable[[], Iterable[Finding]]
    limit_seconds: float
    kind: type[SttError] = SttError


def run_checks(checks: Sequence[Check], secrets: Iterable[str] = ()) -> Iterator[Finding]:
    """Run all checks at once; yield what they find in their order, without any of `secrets`.

    One that takes longer than its limit is a problem, and is left to itself: its thread ends with
    the process.
    """
    hidden = sorted((s for s in secrets if len(s) >= MIN_SECRET_LENGTH), key=len, reverse=True)
    began = time.monotonic()
    results = [_start(check) for check in checks]
    for check, result in zip(checks, results, strict=True):
        for finding in _findings(check, result, began):
            yield _without(finding, hidden)


def exit_code_of(findings: Iterable[Finding]) -> int:
    """Return the exit code of the first problem; 0 without one."""
    return next((found.exit_code for found in findings if found.state == "problem"), 0)


def _start(check: Check) -> "queue.Queue[Finding | None]":
    """Run a check in a thread; return where its findings come, and None after the last one."""
    result: queue.Queue[Finding | None] = queue.Queue()

    def run() -> None:
        try:
            for finding in check.run():
                result.put(finding)
        except SttError as error:
            result.put(Finding.of(check.name, error))
        except Exception as error:
            logger.debug("the check %s failed", check.name, exc_info=True)
            message = f"the check itself failed: {type(error).__name__}"
            result.put(Finding(check.name, "problem", message, exit_code=_OTHER_PROBLEM))
        result.put(None)

    threading.Thread(target=run, name=check.name, daemon=True).start()
    return result


def _findings(
    check: Check, result: "queue.Queue[Finding | None]", began: float
) -> Iterator[Finding]:
    deadline = began + check.limit_seconds
    while True:
        try:
            finding = result.get(timeout=max(deadline - time.monotonic(), 0.001))
        except queue.Empty:
            message = f"no answer within {check.limit_seconds:g} s"
            advice = "Is the address right, and is it up? --timeout waits longer."
            yield Finding.problem(check.name, message, advice, check.kind)
            return
        if finding is None:
            return
        yield finding


def _without(finding: Finding, secrets: Sequence[str]) -> Finding:
    message, advice = finding.message, finding.advice
    for secret in secrets:
        message, advice = message.replace(secret, "***"), advice.replace(secret, "***")
    return replace(finding, message=message, advice=advice)
