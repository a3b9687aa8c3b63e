"""Checks run side by side, in bounded time, and none stops another."""

import threading
import time
from collections.abc import Iterator

import pytest

from stt.doctor.checks import Check, Finding, exit_code_of, run_checks
from stt.errors import ConfigError, DatabaseUnavailable, ServerUnavailable, SttError

WELL = Finding("b", "ok", "well")
LONG_SECONDS = 60.0


def found(*checks: Check, secrets: tuple[str, ...] = ()) -> list[Finding]:
    return list(run_checks(checks, secrets))


def test_findings_come_in_the_order_of_the_checks() -> None:
    first, second = threading.Event(), threading.Event()

    def waits() -> Iterator[Finding]:
        first.set()
        assert second.wait(LONG_SECONDS), "the other check runs beside this one"
        yield Finding("a", "warning", "slow", "wait")

    def answers() -> Iterator[Finding]:
        assert first.wait(LONG_SECONDS)
        second.set()
        yield WELL

    checks = Check("a", waits, LONG_SECONDS), Check("b", answers, LONG_SECONDS)
    assert [finding.check for finding in found(*checks)] == ["a", "b"]


def test_a_check_that_hangs_is_a_problem_with_what_it_found_before() -> None:
    def hangs() -> Iterator[Finding]:
        yield WELL
        threading.Event().wait(LONG_SECONDS)

    check = Check("database", hangs, 0.2, DatabaseUnavailable)
    began = time.monotonic()
    *before, last = found(check)
    assert time.monotonic() - began < LONG_SECONDS
    assert before in ([], [WELL])
    assert (last.state, last.exit_code) == ("problem", 4)
    assert "no answer within 0.2 s" in last.message
    assert last.advice


@pytest.mark.parametrize(
    ("error", "code"), [(ConfigError("x"), 3), (ServerUnavailable("x"), 5), (SttError("x"), 1)]
)
def test_an_error_is_a_problem_with_its_own_code(error: SttError, code: int) -> None:
    def fails() -> Iterator[Finding]:
        raise error

    [finding, other] = found(
        Check("a", fails, LONG_SECONDS), Check("b", lambda: [WELL], LONG_SECONDS)
    )
    assert (finding.state, finding.message, finding.exit_code) == ("problem", "x", code)
    assert other == WELL


def test_a_check_that_breaks_stops_no_other_and_shows_no_values() -> None:
    def breaks() -> Iterator[Finding]:
        raise RuntimeError("hunter2")

    [finding, other] = found(
        Check("a", breaks, LONG_SECONDS), Check("b", lambda: [WELL], LONG_SECONDS)
    )
    assert (finding.state, finding.exit_code) == ("problem", 1)
    assert "hunter2" not in finding.message
    assert other == WELL


def test_no_finding_has_a_secret() -> None:
    said = Finding("a", "warning", "it said hunter2-long and hunter2", "use hunter2-long")
    check = Check("a", lambda: [said], LONG_SECONDS)
    [finding] = found(check, secrets=("hunter2", "hunter2-long", "a"))
    assert (finding.message, finding.advice) == ("it said *** and ***", "use ***")


def test_the_exit_code_is_that_of_the_first_problem() -> None:
    warning = Finding("a", "warning", "x")
    problems = [Finding("b", "problem", "x", exit_code=code) for code in (5, 3)]
    assert exit_code_of([WELL, warning]) == 0
    assert exit_code_of([warning, *problems]) == 5
