"""The queue of requests, without a server around it, over a stand-in engine."""

import asyncio
import time
from dataclasses import replace

import pytest

from tests.support.event_loop import in_event_loop
from tests.support.whisper_bench import SHORT, bench, soon, waits
from tests.support.whisper_stand_in import StandInEngine
from whisper_server.engines.base import Options, Samples, ShouldStop, Transcription
from whisper_server.errors import (
    ClientGone,
    EngineStopped,
    RequestTimeout,
    ShuttingDown,
    Unavailable,
)
from whisper_server.scheduler_state import Progress


@in_event_loop
async def test_no_more_requests_are_in_work_than_there_are_workers() -> None:
    async with bench(busy=True, worker_count=2) as it:
        tasks = it.start(*[SHORT] * 3)
        await soon(lambda: it.scheduler.state().in_work == 2)
        assert it.scheduler.state().waiting == 1
        it.engine.go.set()
        await asyncio.gather(*tasks)
        assert (it.scheduler.state().in_work, it.scheduler.state().waiting) == (0, 0)


@in_event_loop
async def test_one_more_than_the_line_holds_is_sent_away_for_a_while() -> None:
    async with bench(worker_count=1, max_queue=1) as it:
        with it.scheduler.place(), it.scheduler.place():
            with pytest.raises(Unavailable, match="2 requests are being transcribed") as caught:
                await it.run()
            assert int(caught.value.headers["Retry-After"]) >= 1
        assert (await it.run()).text == "1.0"


@in_event_loop
async def test_the_line_is_bounded_in_seconds_of_audio() -> None:
    async with bench(busy=True, worker_count=1, max_queue_seconds=25.0) as it:
        taken = it.start(20.0)
        await soon(lambda: it.scheduler.state().waiting_audio_seconds == pytest.approx(20.0))
        fits = it.start(4.0)
        await soon(lambda: it.scheduler.state().waiting_audio_seconds == pytest.approx(24.0))
        with pytest.raises(Unavailable, match="24 seconds of audio"):
            await it.run(2.0)
        it.engine.go.set()
        await asyncio.gather(*taken, *fits)
        assert (await it.run(40.0)).duration_seconds == 40.0, "alone, any length is taken"


@in_event_loop
async def test_a_caller_who_hangs_up_frees_its_windows() -> None:
    async with bench(busy=True) as it:
        hang_up = asyncio.Event()
        leaver = asyncio.create_task(it.run(60.0, gone=waits(hang_up)))
        await soon(lambda: len(it.engine.batches) == 1)
        stayer = it.start(2.0)
        await soon(lambda: it.scheduler.state().queued_windows == 2)
        hang_up.set()
        with pytest.raises(ClientGone):
            await leaver
        assert it.scheduler.state().queued_windows == 1
        it.engine.go.set()
        assert (await stayer[0]).text == "2.0"
        assert len(it.engine.batches) == 2, "what the leaver still had was not decoded"


@in_event_loop
async def test_a_caller_who_leaves_the_line_is_never_begun() -> None:
    async with bench(busy=True, worker_count=1) as it:
        first = it.start(SHORT)
        await soon(lambda: it.scheduler.state().in_work == 1)
        hang_up = asyncio.Event()
        leaver = asyncio.create_task(it.run(2.0, gone=waits(hang_up)))
        await soon(lambda: it.scheduler.state().waiting == 1)
        hang_up.set()
        with pytest.raises(ClientGone):
            await leaver
        it.engine.go.set()
        await asyncio.gather(*first)
        await it.run(3.0)
        assert [batch[0].seconds for batch in it.engine.batches] == [1.0, 3.0]


@in_event_loop
async def test_a_request_gets_no_longer_than_its_time() -> None:
    async with bench(busy=True, request_timeout=0.05) as it:
        with pytest.raises(RequestTimeout, match=r"0\.05 seconds"):
            await it.run()
        await soon(lambda: it.scheduler.state().in_work == 0)


class Finishing:
    """What completes a transcript, once `go` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.seconds_left: list[float | None] = []
        self.is_cancelled = False

    async def __call__(self, found: Transcription, seconds_left: float | None) -> Transcription:
        self.seconds_left.append(seconds_left)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.is_cancelled = True
            raise
        return replace(found, language="fi")


@in_event_loop
async def test_what_completes_a_transcript_keeps_no_other_request_waiting() -> None:
    async with bench(worker_count=1) as it:
        finish = Finishing()
        first = asyncio.create_task(it.run(finish=finish))
        await soon(lambda: bool(finish.seconds_left))
        assert (await it.run(2.0)).text == "2.0"
        finish.go.set()
        assert (await first).language == "fi"


@in_event_loop
async def test_a_caller_who_hangs_up_stops_what_completes_the_transcript() -> None:
    async with bench() as it:
        finish, hang_up = Finishing(), asyncio.Event()
        leaver = asyncio.create_task(it.run(gone=waits(hang_up), finish=finish))
        await soon(lambda: bool(finish.seconds_left))
        hang_up.set()
        with pytest.raises(ClientGone):
            await leaver
        assert finish.is_cancelled
        assert it.scheduler.state().waiting == 0


@in_event_loop
async def test_what_completes_a_transcript_has_the_rest_of_the_request_s_time() -> None:
    async with bench(request_timeout=100) as it:
        finish = Finishing()
        finish.go.set()
        await it.run(finish=finish)
        (left,) = finish.seconds_left
        assert left is not None
        assert 0 < left < 100


@in_event_loop
async def test_closing_lets_a_transcript_be_completed_or_answers_that_the_server_ends() -> None:
    async with bench() as it:
        finish = Finishing()
        task = asyncio.create_task(it.run(finish=finish))
        await soon(lambda: bool(finish.seconds_left))
        asyncio.get_running_loop().call_later(0.05, finish.go.set)
        await it.scheduler.close(grace_seconds=60)
        assert (await task).language == "fi"
    async with bench() as it:
        finish = Finishing()
        task = asyncio.create_task(it.run(finish=finish))
        await soon(lambda: bool(finish.seconds_left))
        await it.scheduler.close(grace_seconds=0.05)
        with pytest.raises(ShuttingDown):
            await task


@in_event_loop
async def test_progress_comes_in_order_and_adds_up() -> None:
    async with bench(streams=4) as it:
        reports: list[Progress] = []
        found = await it.run(100.0, on_progress=reports.append)
        await asyncio.sleep(0)
        segments = [segment for progress in reports for segment in progress.segments]
        assert segments == list(found.segments)
        assert [one.is_begun for one in reports[:2]] == [False, True]
        steps = [one.seconds_done for one in reports[2:]]
        assert steps == sorted(set(steps))
        assert reports[-1].seconds_done == reports[-1].seconds_total == 100.0
        assert reports[-1].instances == (0,)


@in_event_loop
async def test_a_caller_who_leaves_sequential_decoding_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Patient(StandInEngine):
        def transcribe(
            self, samples: Samples, options: Options, should_stop: ShouldStop
        ) -> Transcription:
            self.go.set()
            while not should_stop():
                time.sleep(0.005)
            raise EngineStopped("stopped within a window")

    async with bench(Patient(), busy=True, decoding="sequential") as it:
        with pytest.raises(ClientGone):
            await it.run(gone=asyncio.to_thread(it.engine.go.wait, 5))  # type: ignore[arg-type]
        await soon(lambda: it.pipeline.busy == 0)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@in_event_loop
async def test_closing_answers_everyone() -> None:
    async with bench(busy=True, worker_count=1) as it:
        tasks = it.start(SHORT, SHORT)
        await soon(lambda: it.scheduler.state().in_work == 1)
        await it.scheduler.close(grace_seconds=0.1)
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(outcome, Unavailable)
        with pytest.raises(Unavailable):
            await it.run()


@in_event_loop
async def test_closing_lets_short_work_finish() -> None:
    async with bench(busy=True) as it:
        (task,) = it.start(SHORT)
        await soon(lambda: len(it.engine.batches) == 1)
        asyncio.get_running_loop().call_later(0.05, it.engine.go.set)
        await it.scheduler.close(grace_seconds=5)
        assert (await task).text == "1.0"
