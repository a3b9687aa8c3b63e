"""Every request is taken note of when it ends, however it does."""

from typing import Any
from unittest.mock import Mock

import pytest
from starlette.types import ASGIApp, Scope

from stt.serving.request_end import RequestEnd, route_of
from tests.support.asgi import answers, call, http_scope
from tests.support.event_loop import in_event_loop


class Noted(RequestEnd):
    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app)
        self.statuses: list[int | None] = []

    def ended(self, _scope: Scope, status: int | None, seconds: float) -> None:
        assert seconds >= 0
        self.statuses.append(status)


@in_event_loop
async def test_the_status_is_noted_and_the_answer_passed_on() -> None:
    noted = Noted(answers(404))
    sent = await call(noted, http_scope())
    assert noted.statuses == [404]
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


@in_event_loop
async def test_a_response_that_never_began_has_no_status() -> None:
    async def broken(*_: Any) -> None:
        raise OSError("the client is gone")

    noted = Noted(broken)
    with pytest.raises(OSError, match="the client is gone"):
        await call(noted, http_scope())
    assert noted.statuses == [None]


@in_event_loop
async def test_what_is_no_request_is_passed_on_alone() -> None:
    noted = Noted(answers(200))
    await call(noted, http_scope(type="lifespan"))
    assert noted.statuses == []


def test_a_path_without_a_route_is_no_label() -> None:
    assert route_of(http_scope(path="/any")) == "none"
    assert route_of(http_scope(path="/any", route=Mock(path="/{id}"))) == "/{id}"
