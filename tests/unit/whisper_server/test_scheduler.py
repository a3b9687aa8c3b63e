"""The line, the batches and the threads, without a server around them, over a stand-in engine."""

import asyncio
import contextlib
import gc
import io
import time
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest

from tests.support.event_loop import in_event_loop
from tests.support.whisper_stand_in import StandInEngine, everything, stand_in_plan, wav
from whisper_server.engines.base import (
    Options,
    Samples,
    ShouldStop,
    Transcription,
    WindowInput,
    WindowResult,
)
from whisper_server.errors import (
    ClientGone,
    EngineFailed,
    EngineStopped,
    InvalidAudio,
    OutOfMemory,
    RequestTimeout,
    Unavailable,
)
from whisper_server.metrics import Metrics
from whisper_server.quality import LADDER
from whisper_server.recording import Recording
from whisper_server.scheduler import Scheduler
from whisper_server.scheduler_state import Progress
from whisper_server.settings import Settings

ENGLISH = Options(language="en")
SHORT = 1.0


async def never() -> None:
    """A client that stays."""
    await asyncio.Event().wait()


async def soon(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


@dataclass
class Bench:
    scheduler: Scheduler
    engine: StandInEngine

    async def run(
        self,
        seconds: float = SHORT,
        options: Options = ENGLISH,
        gone: Coroutine[Any, Any, None] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        data: bytes | None = None,
    ) -> Transcription:
        recording = Recording([io.BytesIO(wav(seconds) if data is None else data)], 36_000, "file")
        try:
            with self.scheduler.place():
                return await self.scheduler.run(recording, options, gone or never(), on_progress)
        finally:
            recording.close()

    def start(self, *lengths: float) -> list[asyncio.Task[Transcription]]:
        return [asyncio.create_task(self.run(seconds)) for seconds in lengths]


@contextlib.asynccontextmanager
async def bench(
    engine: StandInEngine | None = None,
    *,
    busy: bool = False,
    batch_size: int = 1,
    streams: int = 1,
    **settings: Any,
) -> AsyncIterator[Bench]:
    """A scheduler at work; a `busy` one hangs in its first batch until `engine.go` is set."""
    engine = engine or StandInEngine()
    if not busy:
        engine.go.set()
    plan = stand_in_plan(settings.pop("worker_count", 4), batch_size, streams)
    chosen = Settings.model_construct(**({"max_queue": 8, "batch_window_ms": 0} | settings))
    scheduler = Scheduler([engine], plan, chosen, Metrics(), everything)
    scheduler.start()
    try:
        yield Bench(scheduler, engine)
    finally:
        engine.go.set()
        await scheduler.close(grace_seconds=0)


@in_event_loop
async def test_a_recording_comes_back_whole_and_in_its_place() -> None:
    async with bench(streams=3) as it:
        found = await it.run(100.0)
        assert found.duration_seconds == 100.0
        assert found.segments[0].start == 0.0
        assert found.segments[-1].end == 100.0
        borders = [(one.end, two.start) for one, two in pairwise(found.segments)]
        assert all(end == start for end, start in borders)
        assert len(found.segments) >= 4


@in_event_loop
async def test_windows_of_different_requests_share_a_batch() -> None:
    async with bench(busy=True, batch_size=4) as it:
        first = it.start(SHORT)
        await soon(lambda: len(it.engine.batches) == 1)
        others = it.start(1.0, 2.0, 3.0)
        await soon(lambda: it.scheduler.state().queued_windows == 3)
        it.engine.go.set()
        texts = [found.text for found in await asyncio.gather(*first, *others)]
        assert texts == ["1.0", "1.0", "2.0", "3.0"]
        assert [len(batch) for batch in it.engine.batches] == [1, 3]
        assert it.scheduler.state().batch_fill == pytest.approx(0.5, abs=0.01)


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
            with pytest.raises(Unavailable, match="2 requests are in work") as caught:
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


async def waits(event: asyncio.Event) -> None:
    await event.wait()


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


@in_event_loop
async def test_out_of_memory_halves_the_batch_and_nobody_fails() -> None:
    def too_many(windows: Sequence[WindowInput]) -> Exception | None:
        return OutOfMemory("CUDA out of memory") if len(windows) > 2 else None

    engine = StandInEngine(refuses=too_many)
    async with bench(engine, busy=True, batch_size=8, worker_count=8) as it:
        tasks = it.start(SHORT)
        await soon(lambda: len(it.engine.batches) == 1)
        tasks += it.start(*[SHORT] * 3)
        tasks += it.start(90.0)
        await soon(lambda: it.scheduler.state().queued_windows >= 6)
        it.engine.go.set()
        found = await asyncio.gather(*tasks)
        assert [one.duration_seconds for one in found] == [1.0] * 4 + [90.0]
        sizes = [len(batch) for batch in it.engine.batches]
        assert max(sizes) > 2
        assert it.scheduler.state().instances[0].batch_size <= 2


@in_event_loop
async def test_one_window_that_does_not_fit_fails_by_itself() -> None:
    async with bench(StandInEngine(failure=OutOfMemory("CUDA out of memory"))) as it:
        with pytest.raises(EngineFailed, match="out of memory"):
            await it.run()


@in_event_loop
async def test_a_window_that_breaks_the_engine_takes_nobody_along() -> None:
    def poisoned(windows: Sequence[WindowInput]) -> Exception | None:
        return EngineFailed("broke") if any(one.seconds == 2.0 for one in windows) else None

    async with bench(StandInEngine(refuses=poisoned), busy=True, batch_size=4) as it:
        first = it.start(SHORT)
        await soon(lambda: len(it.engine.batches) == 1)
        others = it.start(1.5, 2.0, 2.5)
        await soon(lambda: it.scheduler.state().queued_windows == 3)
        it.engine.go.set()
        await asyncio.gather(*first)
        outcomes = await asyncio.gather(*others, return_exceptions=True)
        assert isinstance(outcomes[1], EngineFailed)
        assert [getattr(one, "text", None) for one in outcomes] == ["1.5", None, "2.5"]


@in_event_loop
async def test_an_error_that_nobody_foresaw_ends_one_request_and_no_thread() -> None:
    async with bench(StandInEngine(failure=LookupError("inside"))) as it:
        with pytest.raises(EngineFailed, match="inside"):
            await it.run()
        it.engine.failure = None
        assert (await it.run()).text == "1.0"


@in_event_loop
async def test_an_engine_that_answers_too_little_ends_no_thread() -> None:
    class Forgetful(StandInEngine):
        def decode(self, windows: Sequence[WindowInput]) -> list[WindowResult]:
            return super().decode(windows)[len(self.batches) == 1 :]

    async with bench(Forgetful()) as it:
        with pytest.raises(EngineFailed):
            await it.run()
        assert (await it.run()).text == "1.0"


@in_event_loop
async def test_a_window_below_whispers_bar_is_decoded_again_alone_and_warmer() -> None:
    async with bench(StandInEngine(verdicts=(-2.0, -1.5, -0.5)), batch_size=4) as it:
        found = await it.run()
        assert [batch[0].temperature for batch in it.engine.batches] == [0.0, 0.2, 0.4]
        assert all(len(batch) == 1 for batch in it.engine.batches)
        assert found.segments[0].temperature == 0.4


@in_event_loop
async def test_a_window_that_never_passes_ends_with_its_best_attempt() -> None:
    verdicts = (-2.0, -1.9, -1.2, -1.8, -1.7, -1.6)
    async with bench(StandInEngine(verdicts=verdicts)) as it:
        found = await it.run()
        assert len(it.engine.batches) == len(LADDER)
        assert found.segments[0].avg_logprob == -1.2


@in_event_loop
async def test_a_temperature_that_was_asked_for_is_the_only_one() -> None:
    async with bench(StandInEngine(verdicts=(-2.0,))) as it:
        await it.run(options=replace(ENGLISH, temperature=0.7))
        assert [batch[0].temperature for batch in it.engine.batches] == [0.7]


@in_event_loop
async def test_the_first_window_finds_the_language_for_the_others() -> None:
    async with bench(busy=True, batch_size=4) as it:
        task = asyncio.create_task(it.run(100.0, options=Options()))
        await soon(lambda: len(it.engine.batches) == 1)
        assert it.scheduler.state().queued_windows == 0, "the others wait for it"
        it.engine.go.set()
        found = await task
        languages = [call.language for call in it.engine.calls]
        assert languages == [None] + ["en"] * (len(languages) - 1)
        assert (found.language, found.language_probability) == ("en", 1.0)


@in_event_loop
async def test_no_recording_is_prepared_far_ahead_of_its_decoding() -> None:
    async with bench(busy=True, batch_size=2) as it:
        task = asyncio.create_task(it.run(1200.0))
        await soon(lambda: len(it.engine.batches) == 1)
        await soon(lambda: it.scheduler.in_flight == 1)
        assert it.scheduler.state().queued_windows <= 4
        it.engine.go.set()
        assert (await task).duration_seconds == 1200.0


@in_event_loop
async def test_recordings_share_what_is_prepared_ahead() -> None:
    async with bench(busy=True, batch_size=8, worker_count=4) as it:
        tasks = it.start(*[600.0] * 4)
        await soon(lambda: it.scheduler.state().in_work == 4)
        await soon(lambda: len(it.engine.batches) == 1 and it.scheduler.in_flight == 1)
        windows = it.scheduler.state().queued_windows + len(it.engine.batches[0])
        one_by_one = 16 + 8 + 6 + 4  # the most, when each fills its share before the next comes
        assert windows <= one_by_one < 4 * 16
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert it.scheduler.state().queued_windows == 0


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
async def test_sequential_decoding_goes_piece_by_piece_and_hands_the_text_on() -> None:
    async with bench(streams=2, decoding="sequential") as it:
        found = await it.run(700.0, options=replace(ENGLISH, prompt="before"))
        assert len(it.engine.calls) == 3
        assert it.engine.calls[0].prompt == "before"
        assert it.engine.calls[1].prompt == found.segments[0].text
        assert found.segments[-1].end == 700.0


@in_event_loop
async def test_sequential_decoding_has_no_batches_whatever_their_size() -> None:
    async with bench(busy=True, batch_size=4, decoding="sequential") as it:
        first = it.start(SHORT)
        await soon(lambda: len(it.engine.batches) == 1)
        others = it.start(1.5, 2.0)
        await soon(lambda: it.scheduler.state().queued_windows == 2)
        it.engine.go.set()
        found = await asyncio.gather(*first, *others)
        assert [one.text for one in found] == ["1.0", "1.5", "2.0"]
        assert it.scheduler.state().instances[0].batch_size == 1
        assert it.scheduler.state().instances[0].batches == 3


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
        await soon(lambda: it.scheduler.in_flight == 0)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_who_left_is_forgotten_at_once() -> None:
    @in_event_loop
    async def scenario() -> None:
        hang_up, recordings = asyncio.Event(), []

        async def leave(it: Bench) -> None:
            recording = Recording([io.BytesIO(wav(600.0))], 36_000, "file")
            recordings.append(weakref.ref(recording))
            with pytest.raises(ClientGone):
                await it.scheduler.run(recording, ENGLISH, waits(hang_up))
            recording.close()

        async with bench(busy=True) as it:
            leaver = asyncio.create_task(leave(it))
            await soon(lambda: len(it.engine.batches) == 1 and it.scheduler.in_flight == 1)
            hang_up.set()
            await leaver
            it.engine.go.set()
            await soon(lambda: it.scheduler.in_flight == 0)
            await it.run()
            leaver = None  # type: ignore[assignment]
            it.engine.batches.clear()
            assert recordings[0]() is None, "it was not for the garbage collector to find"

    gc.disable()
    try:
        scenario()
    finally:
        gc.enable()


@in_event_loop
async def test_the_model_is_unloaded_when_idle_and_loaded_on_demand() -> None:
    engine = StandInEngine()
    engine.may_load.set()
    async with bench(engine, idle_unload_seconds=0.1) as it:
        await soon(lambda: it.scheduler.state().instances[0].status == "unloaded")
        assert (engine.loads, engine.unloads) == (0, 1)
        assert (await it.run()).text == "1.0"
        assert engine.loads == 1


@in_event_loop
async def test_broken_audio_reaches_its_sender_alone() -> None:
    async with bench() as it:
        with pytest.raises(InvalidAudio):
            await it.run(data=b"this is no audio")
        assert (await it.run()).text == "1.0"


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
