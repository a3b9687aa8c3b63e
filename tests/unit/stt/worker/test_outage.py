"""One database that is away, as several threads see it."""

import logging
import time

import pytest

from stt.errors import DatabaseUnavailable
from stt.worker.outage import Outage

AWAY = DatabaseUnavailable("The database does not answer")


def test_an_outage_and_its_end_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage()
    with caplog.at_level(logging.INFO, "stt"):
        outage.record_answer("a thread")
        for who in ("a thread", "the heartbeat", "a thread"):
            outage.record_failure(who, AWAY, time.monotonic())
        outage.record_answer("a thread")
        outage.record_answer("the heartbeat")
    assert caplog.messages == [
        "The database does not answer: waiting for it",
        "The database answers again",
    ]


def test_a_node_is_told_of_its_coordinator(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage("coordinator")
    outage.record_failure("a thread", AWAY, time.monotonic())
    with caplog.at_level(logging.INFO, "stt"):
        outage.record_answer("a thread")
    assert caplog.messages[-1] == "The coordinator answers again"


def test_it_lasts_from_the_first_question_until_all_have_heard_again() -> None:
    outage = Outage()
    assert outage.seconds == 0.0
    outage.record_failure("a thread", AWAY, time.monotonic() - 10)
    outage.record_failure("the heartbeat", AWAY, time.monotonic() - 30)
    outage.record_failure("the heartbeat", AWAY, time.monotonic())
    assert outage.seconds == pytest.approx(30, abs=1)
    outage.record_answer("the heartbeat")
    assert outage.seconds == pytest.approx(10, abs=1)
    assert outage.error is AWAY
    outage.record_answer("a thread")
    assert outage.seconds == 0.0
    assert vars(outage)["error"] is None


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelname == "WARNING"]


def test_a_request_from_before_the_end_begins_no_new_outage(
    caplog: pytest.LogCaptureFixture,
) -> None:
    outage = Outage()
    asked_at = time.monotonic()
    outage.record_failure("the heartbeat", AWAY, asked_at)
    outage.record_answer("the heartbeat")
    outage.record_failure("a thread", AWAY, asked_at)
    assert outage.seconds == 0.0
    assert outage.error is None
    assert warnings_in(caplog) == ["The database does not answer: waiting for it"]
    outage.record_failure("a thread", AWAY, time.monotonic())
    assert outage.error is AWAY
    assert len(warnings_in(caplog)) == 2
