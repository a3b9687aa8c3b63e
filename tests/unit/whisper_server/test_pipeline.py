"""The threads that prepare and decode, over a stand-in engine."""

import asyncio
import gc
import io
import threading
import weakref
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, count

import pytest

from tests.support.event_loop import in_event_loop
from tests.support.whisper_bench import ENGLISH, SHORT, Bench, bench, soon, waits
from tests.support.whisper_stand_in import StandInEngine, everything, wav
from whisper_server.audio_windows import Span
from whisper_server.engines.base import EncodedWindow, Options, Samples, WindowInput, WindowResult
from whisper_server.errors import ClientGone, EngineFailed, InvalidAudio, OutOfMemory
from whisper_server.pipeline import PIECES_AHEAD
from whisper_server.recording import Recording


@in_event_loop
async def test_a_recording_comes_back_whole_and_in_its_place() -> None:
    async with bench(streams=3) as it:
        found = await it.run(100.0)
        assert found.duration_seconds == 100.0
        assert found.segments[0].start == 0.0
        lengths = [float(segment.text) for segment in found.segments]
        starts = [segment.start for segment in found.segments]
        assert starts == pytest.approx(list(accumulate(lengths, initial=0.0))[:-1], abs=0.25)
        assert sum(lengths) == pytest.approx(100.0, abs=0.25)
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
async def test_out_of_memory_while_encoding_halves_the_batch_too() -> None:
    class Small(StandInEngine):
        def encode(self, windows: Sequence[WindowInput]) -> list[EncodedWindow]:
            if len(windows) > 1:
                self.encoded.append(list(windows))
                raise OutOfMemory("CUDA out of memory")
            return super().encode(windows)

    engine = Small()
    async with bench(engine, batch_size=8, batch_window_ms=60_000) as it:
        found = await it.run(200.0, options=Options())
        assert found.duration_seconds == 200.0
        assert max(len(batch) for batch in engine.encoded) > 1
        assert it.scheduler.state().instances[0].batch_size == 1


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
async def test_a_window_that_breaks_the_encoder_takes_nobody_along() -> None:
    def poisoned(windows: Sequence[WindowInput]) -> Exception | None:
        return EngineFailed("broke") if any(one.seconds == 2.0 for one in windows) else None

    class Slow(StandInEngine):
        def encode(self, windows: Sequence[WindowInput]) -> list[EncodedWindow]:
            self.go.wait(60)
            return super().encode(windows)

    engine = Slow(refuses=poisoned)
    async with bench(engine, busy=True, batch_size=4) as it:
        runs = [asyncio.create_task(it.run(1.0, options=Options()))]
        await soon(lambda: it.scheduler.state().instances[0].status == "busy")
        runs += [asyncio.create_task(it.run(s, options=Options())) for s in (1.5, 2.0, 2.5)]
        await soon(lambda: it.scheduler.state().queued_windows == 3)
        it.engine.go.set()
        outcomes = await asyncio.gather(*runs, return_exceptions=True)
        assert isinstance(outcomes[2], EngineFailed)
        assert [getattr(one, "text", None) for one in outcomes] == ["1.0", "1.5", None, "2.5"]
        assert max(len(batch) for batch in engine.encoded) == 3


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
        def encode(self, windows: Sequence[WindowInput]) -> list[EncodedWindow]:
            return super().encode(windows)[len(self.encoded) == 1 :]

        def decode(self, windows: Sequence[WindowInput]) -> list[WindowResult]:
            return super().decode(windows)[len(self.batches) == 1 :]

    async with bench(Forgetful()) as it:
        for options in (Options(), ENGLISH):
            with pytest.raises(EngineFailed):
                await it.run(options=options)
        assert (await it.run()).text == "1.0"


@in_event_loop
async def test_no_recording_is_prepared_far_ahead_of_its_decoding() -> None:
    async with bench(busy=True, batch_size=2) as it:
        task = asyncio.create_task(it.run(1200.0))
        await soon(lambda: len(it.engine.batches) == 1)
        await soon(lambda: it.pipeline.busy == 1)
        assert it.scheduler.state().queued_windows <= 4
        it.engine.go.set()
        assert (await task).duration_seconds == 1200.0


@in_event_loop
async def test_the_speech_of_a_long_recording_is_found_by_several_threads() -> None:
    all_in_work, calls = threading.Barrier(PIECES_AHEAD, timeout=20), count()

    def find_speech(samples: Samples, longest: float) -> list[Span]:
        if 1 <= next(calls) <= PIECES_AHEAD:  # the first one warms up
            all_in_work.wait()
        return everything(samples, longest)

    async with bench() as it:
        alone = await it.run(460.0)
    async with bench(find_speech=find_speech) as it:
        assert await it.run(460.0) == alone


@in_event_loop
async def test_no_speech_is_found_ahead_where_that_takes_cores_from_the_decoding() -> None:
    pieces: list[Samples] = []

    def find_speech(samples: Samples, longest: float) -> list[Span]:
        pieces.append(samples)
        return everything(samples, longest)

    async with bench(StandInEngine(decodes_on_cpu=True), busy=True, find_speech=find_speech) as it:
        task = asyncio.create_task(it.run(1200.0))
        await soon(lambda: len(it.engine.batches) == 1 and it.pipeline.busy == 1)
        assert len(pieces) == 1 + 2, "what warms up, and two whose windows are as many as may wait"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@in_event_loop
async def test_recordings_share_what_is_prepared_ahead() -> None:
    async with bench(busy=True, batch_size=8, worker_count=4) as it:
        tasks = it.start(*[600.0] * 4)
        await soon(lambda: it.scheduler.state().in_work == 4)
        await soon(lambda: len(it.engine.batches) == 1 and it.pipeline.busy == 1)
        windows = it.scheduler.state().queued_windows + len(it.engine.batches[0])
        one_by_one = 16 + 8 + 6 + 4  # the most, when each fills its share before the next comes
        assert windows <= one_by_one < 4 * 16
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert it.scheduler.state().queued_windows == 0


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
            await soon(lambda: len(it.engine.batches) == 1 and it.pipeline.busy == 1)
            hang_up.set()
            await leaver
            it.engine.go.set()
            await soon(lambda: it.pipeline.busy == 0)
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
async def test_broken_audio_reaches_its_sender_alone() -> None:
    async with bench() as it:
        with pytest.raises(InvalidAudio):
            await it.run(data=b"this is no audio")
        assert (await it.run()).text == "1.0"
