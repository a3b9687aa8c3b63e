"""One poll for all subscribers, and tasks that end together; without a database."""

import asyncio
import logging

import pytest
from starlette.websockets import WebSocketDisconnect

from stt.coordinator.live.polling_monitor import PollingMonitor, run_until_one_ends
from stt.errors import DatabaseUnavailable
from tests.support.event_loop import in_event_loop


class Counter(PollingMonitor):
    """Counts its polls; fails as long as `error` is set."""

    interval_seconds = 0.001

    def __init__(self) -> None:
        super().__init__("polls fail")
        self.polls = self.outages = 0
        self.error: Exception | None = None

    async def _poll(self) -> None:
        self.polls += 1
        if self.error:
            raise self.error
        self._publish()

    def _begin_outage(self) -> None:
        self.outages += 1

    async def until(self, polls: int) -> None:
        """Return once there were so many more polls."""
        wanted = self.polls + polls
        while self.polls < wanted:
            await asyncio.sleep(0)


@in_event_loop
async def test_it_polls_only_while_there_are_subscribers() -> None:
    monitor = Counter()
    async with monitor.subscription():
        async with monitor.subscription():
            await monitor.until(2)
        await monitor.until(2)
    polls = monitor.polls
    await asyncio.sleep(0.02)
    assert monitor.polls == polls
    async with monitor.subscription():
        await monitor.until(1)


@in_event_loop
async def test_a_publication_wakes_all_who_wait() -> None:
    monitor = Counter()
    waiting = [asyncio.create_task(monitor.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    async with monitor.subscription():
        await asyncio.gather(*waiting)


@in_event_loop
async def test_a_wait_may_end_without_a_publication() -> None:
    await Counter().wait(0.001)


@in_event_loop
async def test_an_outage_is_logged_once_and_the_next_one_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    monitor = Counter()
    async with monitor.subscription():
        for _ in range(2):
            monitor.error = DatabaseUnavailable("away")
            await monitor.until(5)
            monitor.error = None
            await monitor.until(2)
    assert caplog.messages == ["polls fail: away"] * 2
    assert monitor.outages == 2


@in_event_loop
async def test_an_unforeseen_error_is_logged_with_its_place_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    monitor = Counter()
    async with monitor.subscription():
        monitor.error = KeyError("x")
        await monitor.until(1)
        await monitor.until(1)
        monitor.error = None
        await monitor.wait()
    assert caplog.records[0].levelno == logging.ERROR
    assert caplog.records[0].exc_info


@in_event_loop
async def test_when_one_task_ends_the_others_are_cancelled() -> None:
    ended: list[str] = []

    async def short() -> None:
        ended.append("short")

    async def long() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("long")

    await run_until_one_ends(short(), long())
    assert ended == ["short", "long"]


@in_event_loop
async def test_a_socket_that_is_gone_is_no_error_and_everything_else_is() -> None:
    async def fails(error: Exception) -> None:
        raise error

    await run_until_one_ends(fails(WebSocketDisconnect()), asyncio.sleep(60))
    with pytest.raises(KeyError):
        await run_until_one_ends(fails(KeyError("x")), asyncio.sleep(60))
