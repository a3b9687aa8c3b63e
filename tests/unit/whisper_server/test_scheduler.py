"""The line and the workers, without a server around them."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from whisper_server.engines.base import ShouldStop
from whisper_server.errors import ClientGone, EngineStopped, Unavailable
from whisper_server.scheduler import Scheduler


async def never() -> None:
    """A client that stays."""
    await asyncio.Event().wait()


async def at_once() -> None:
    """A client that hangs up at the first look."""


def until(stop: threading.Event) -> Callable[[ShouldStop], str]:
    def work(should_stop: ShouldStop) -> str:
        while not stop.wait(0.005):
            if should_stop():
                raise EngineStopped("told to")
        return "done"

    return work


async def soon(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def test_work_runs_side_by_side_up_to_the_worker_count() -> None:
    async def scenario() -> None:
        scheduler, stop = Scheduler(2, 8), threading.Event()
        with scheduler.place(), scheduler.place(), scheduler.place():
            tasks = [asyncio.create_task(scheduler.run(until(stop), never())) for _ in range(3)]
            await soon(lambda: scheduler.in_flight == 2)
            assert scheduler.waiting == 1
            stop.set()
            assert await asyncio.gather(*tasks) == ["done"] * 3
        await soon(lambda: scheduler.in_flight == 0)
        assert scheduler.waiting == 0
        await scheduler.close(0)

    asyncio.run(scenario())


def test_one_more_than_the_line_holds_is_sent_away_for_a_while() -> None:
    async def scenario() -> None:
        scheduler = Scheduler(1, 1)
        with scheduler.place(), scheduler.place():
            with pytest.raises(Unavailable) as caught, scheduler.place():
                pass
            assert int(caught.value.headers["Retry-After"]) >= 1
        with scheduler.place():
            pass
        await scheduler.close(0)

    asyncio.run(scenario())


def test_work_of_a_client_that_left_the_line_never_starts() -> None:
    async def scenario() -> None:
        scheduler, stop, started = Scheduler(1, 8), threading.Event(), threading.Event()
        first = asyncio.create_task(scheduler.run(until(stop), never()))
        await soon(lambda: scheduler.in_flight == 1)
        with pytest.raises(ClientGone):
            await scheduler.run(lambda _: started.set(), at_once())
        stop.set()
        await first
        assert await scheduler.run(lambda _: "next", never()) == "next"
        assert not started.is_set()
        await scheduler.close(0)

    asyncio.run(scenario())


def test_running_work_of_a_client_that_left_is_told_to_stop() -> None:
    async def scenario() -> None:
        scheduler, hang_up = Scheduler(1, 8), asyncio.Event()

        async def gone() -> None:
            await hang_up.wait()

        task = asyncio.create_task(scheduler.run(until(threading.Event()), gone()))
        await soon(lambda: scheduler.in_flight == 1)
        hang_up.set()
        with pytest.raises(ClientGone):
            await task
        await soon(lambda: scheduler.in_flight == 0)
        await scheduler.close(0)

    asyncio.run(scenario())


def test_closing_answers_everyone_and_stops_what_runs() -> None:
    async def scenario() -> None:
        scheduler = Scheduler(1, 8)
        tasks = [
            asyncio.create_task(scheduler.run(until(threading.Event()), never())) for _ in range(2)
        ]
        await soon(lambda: scheduler.in_flight == 1)
        await scheduler.close(grace_seconds=0.1)
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(outcome, Unavailable)
        with pytest.raises(Unavailable), scheduler.place():
            pass
        with pytest.raises(Unavailable):
            await scheduler.run(lambda _: None, never())
        await soon(lambda: scheduler.in_flight == 0)

    asyncio.run(scenario())


def test_closing_lets_short_work_finish() -> None:
    async def scenario() -> None:
        scheduler, stop = Scheduler(1, 8), threading.Event()
        task = asyncio.create_task(scheduler.run(until(stop), never()))
        await soon(lambda: scheduler.in_flight == 1)
        asyncio.get_running_loop().call_later(0.05, stop.set)
        await scheduler.close(grace_seconds=5)
        assert await task == "done"

    asyncio.run(scenario())


def test_what_the_work_raises_reaches_the_asker() -> None:
    async def scenario() -> None:
        scheduler = Scheduler(1, 8)

        def broken(_: ShouldStop) -> None:
            raise LookupError("inside")

        with pytest.raises(LookupError, match="inside"):
            await scheduler.run(broken, never())
        await scheduler.close(0)

    asyncio.run(scenario())
