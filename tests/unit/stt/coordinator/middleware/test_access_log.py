"""At which level a request is logged, under whose name, and how it is counted."""

import logging
from typing import Any
from unittest.mock import Mock

import pytest

from stt.coordinator.authenticator import Person
from stt.coordinator.metrics import Metrics
from stt.coordinator.middleware.access_log import AccessLog
from stt.domain.node import Node
from tests.support.asgi import answers, call, http_scope
from tests.support.event_loop import in_event_loop

NODE = Node("mac-1f2e", "Mac")


@pytest.fixture
def metrics(caplog: pytest.LogCaptureFixture) -> Mock:
    caplog.set_level(logging.DEBUG, "stt")
    return Mock(Metrics)


@pytest.mark.parametrize(
    ("method", "status", "principal", "level"),
    [
        ("GET", 200, Person(), "DEBUG"),
        ("HEAD", 304, Person(), "DEBUG"),
        ("POST", 200, Person(), "INFO"),
        ("POST", 200, NODE, "DEBUG"),
        ("POST", 409, NODE, "INFO"),
        ("GET", 404, Person(), "INFO"),
        ("GET", 401, None, "INFO"),
        ("POST", 303, None, "INFO"),
        ("GET", 503, NODE, "WARNING"),
        ("GET", 500, Person(), "WARNING"),
    ],
)
@in_event_loop
async def test_changes_and_failures_stand_out(
    metrics: Mock, caplog: pytest.LogCaptureFixture,
    method: str, status: int, principal: object, level: str,
) -> None:  # fmt: skip
    state = {"request_id": "abc"} | ({"principal": principal} if principal else {})
    await call(AccessLog(answers(status), metrics), http_scope(method, "/tasks", state=state))
    [record] = caplog.records
    assert record.levelname == level
    assert f"{method} /tasks {status} in" in record.getMessage()
    assert record.getMessage().endswith("request abc")


@pytest.mark.parametrize(
    ("principal", "name"),
    [
        (Person(), "person at 10.0.0.1"),
        (NODE, "node mac-1f2e"),
        (None, "unknown at 10.0.0.1"),
    ],
)
@in_event_loop
async def test_the_sender_is_named_without_a_key(
    metrics: Mock, caplog: pytest.LogCaptureFixture, principal: object, name: str
) -> None:
    state = {"principal": principal} if principal else {}
    scope = http_scope("POST", "/x", state=state, query_string=b"key=secret")
    await call(AccessLog(answers(200), metrics), scope)
    assert caplog.records[0].getMessage().startswith(f"{name} POST /x")
    assert "secret" not in caplog.text


@in_event_loop
async def test_a_path_of_any_length_makes_one_short_line(
    metrics: Mock, caplog: pytest.LogCaptureFixture
) -> None:
    await call(AccessLog(answers(404), metrics), http_scope(path="/" + "x" * 5_000))
    assert len(caplog.records[0].getMessage()) < 300


@in_event_loop
async def test_a_request_is_counted_under_the_template_of_its_route(metrics: Mock) -> None:
    log = AccessLog(answers(200), metrics)
    await call(log, http_scope(route=Mock(path="/chunks/{filename}")))
    await call(log, http_scope(path="/nothing"))
    assert [call.args[:3] for call in metrics.request_ended.call_args_list] == [
        ("/chunks/{filename}", "GET", 200), ("none", "GET", 200),
    ]  # fmt: skip


@in_event_loop
async def test_an_answer_that_never_began_is_logged_as_500_and_counted_as_499(
    metrics: Mock, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await call(AccessLog(broken, metrics), http_scope())
    assert metrics.request_ended.call_args.args[2] == 499
    assert "GET / 500" in caplog.text


@in_event_loop
async def test_what_is_no_request_is_passed_on_unseen(
    metrics: Mock, caplog: pytest.LogCaptureFixture
) -> None:
    await call(AccessLog(answers(101), metrics), http_scope(type="websocket"))
    metrics.request_ended.assert_not_called()
    assert not caplog.records
