"""One recording's steps: who may read it when, and when its files may be closed."""

import asyncio
import io
import threading
from collections.abc import Generator, Iterable
from dataclasses import replace
from itertools import groupby

import pytest

from tests.support.event_loop import in_event_loop
from tests.support.whisper_bench import ENGLISH, bench, soon
from tests.support.whisper_stand_in import StandInEngine, language_by_level, wav
from whisper_server.audio_windows import Window, cut_into_windows
from whisper_server.engines.base import Options, Samples
from whisper_server.quality import LADDER
from whisper_server.queued_window import PreparationConfig, QueuedWindow
from whisper_server.recording import Recording
from whisper_server.transcription_task import FEWEST_WINDOWS, TranscriptionTask


def cut(blocks: Iterable[Samples], _: bool) -> Generator[list[Window], None, None]:
    return cut_into_windows(blocks, 30.0, None)


def task_of(file: io.BytesIO, ahead: int = 4) -> TranscriptionTask:
    config = PreparationConfig(
        cut, lambda samples: samples, lambda window: None, lambda: ahead, False, False
    )
    recording = Recording([file], 36_000, "file")
    return TranscriptionTask(recording, Options(language="en"), config, lambda progress: None)


class Interrupted(threading.Event):
    """Lets another thread try to begin a step just when the last one ends."""

    def __init__(self, task: TranscriptionTask) -> None:
        super().__init__()
        self._task = task
        self.other = threading.Thread(target=task.begin_step)

    def set(self) -> None:
        self.other.start()
        self.other.join(0.1)
        super().set()


def test_a_step_that_begins_as_another_ends_keeps_the_files_open() -> None:
    task = task_of(io.BytesIO(wav(120.0)))
    assert task.begin_step()
    task._no_step_runs = event = Interrupted(task)
    task.end_step()
    event.other.join(60)
    assert task.is_being_read


def test_a_cancelled_recording_is_not_read_any_more() -> None:
    file = io.BytesIO(wav(120.0))
    task = task_of(file)
    assert task.begin_step()
    task.result.cancel()
    file.close()
    task.measure()
    assert task.step() == []
    assert (task.total_seconds, task.is_being_read) == (0.0, False)


def test_a_step_whose_room_was_given_to_others_prepares_nothing() -> None:
    room = [4]
    config = PreparationConfig(
        cut, lambda samples: samples, lambda window: None, lambda: room[0], False, False
    )
    recording = Recording([io.BytesIO(wav(600.0))], 36_000, "file")
    task = TranscriptionTask(recording, Options(language="en"), config, lambda progress: None)
    first: list[QueuedWindow] = []
    while len(first) < 3:
        assert task.begin_step()
        first += task.step()
    assert task.begin_step()
    room[0] = 1
    assert task.step() == []
    room[0] = 4
    assert task.begin_step()
    positions = [queued.position for queued in [*first, *task.step()]]
    assert positions == list(range(len(positions)))


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
async def test_each_window_is_decoded_in_its_own_language() -> None:
    engine = StandInEngine(spoken=language_by_level)
    async with bench(engine, batch_size=4, streams=2) as it:
        found = await it.run(options=Options(), data=wav(100.0, 0, 1, 0))
        spoken = [(segment.language, segment.start) for segment in found.segments]
        assert [language for language, _ in groupby(language for language, _ in spoken)] == [
            "en", "de", "en",
        ]  # fmt: skip
        german = [start for language, start in spoken if language == "de"]
        assert german[0] == pytest.approx(100.0, abs=2.0)
        assert 165.0 < german[-1] < 200.0
        assert {call.language for call in engine.calls} == {"en", "de"}
        assert sum(float(segment.text) for segment in found.segments) == pytest.approx(300, abs=1)
        assert found.language == "en"
        assert found.language_probability == pytest.approx(2 / 3, abs=0.05)
        assert dict(found.top_language_probs)["de"] == pytest.approx(1 / 3, abs=0.05)
        assert found.duration_seconds == 300.0


@in_event_loop
async def test_a_window_is_encoded_once() -> None:
    engine = StandInEngine(verdicts=(-2.0, -0.5))
    async with bench(engine, batch_size=4) as it:
        await it.run(100.0, options=Options())
        windows = [window for batch in engine.encoded for window in batch]
        assert len(windows) == 4
        attempts = [window for batch in engine.batches for window in batch]
        assert len(attempts) == 8
        sounds = {id(window.features) for window in windows}
        assert {id(window.sound) for window in attempts} == sounds


@pytest.mark.parametrize("multilingual", [True, False])
def test_no_language_is_looked_for_where_one_is_given_or_the_model_knows_one(
    multilingual: bool,
) -> None:
    @in_event_loop
    async def scenario() -> None:
        engine = StandInEngine(multilingual=multilingual)
        async with bench(engine) as it:
            found = await it.run(70.0, options=ENGLISH if multilingual else Options())
            assert found.language == "en"
            assert not engine.encoded
            assert len(engine.batches) == 3

    scenario()


@in_event_loop
async def test_a_window_waits_for_the_language_of_the_next_one() -> None:
    engine = StandInEngine(spoken=language_by_level)
    async with bench(engine, busy=True) as it:
        task = asyncio.create_task(it.run(options=Options(), data=wav(300.0, 0, 1)))
        await soon(lambda: len(engine.batches) == 1)
        await soon(lambda: it.pipeline.busy == 1)
        in_work = it.scheduler.state().queued_windows + 1
        assert in_work <= FEWEST_WINDOWS
        engine.go.set()
        found = await task
        assert {segment.language for segment in found.segments} == {"en", "de"}


@in_event_loop
async def test_a_recording_without_speech_has_a_language_of_no_probability() -> None:
    async with bench(find_speech=lambda samples, longest: []) as it:
        found = await it.run(70.0, options=Options())
        assert not it.engine.encoded
        assert (found.segments, found.language, found.language_probability) == ((), "en", 0.0)


@in_event_loop
async def test_languages_do_not_depend_on_how_many_windows_are_in_work() -> None:
    results = []
    for streams, batch_size in [(1, 1), (1, 8), (4, 2)]:
        engine = StandInEngine(spoken=language_by_level)
        async with bench(engine, streams=streams, batch_size=batch_size) as it:
            found = await it.run(options=Options(), data=wav(37.0, 0, 1, 2, 0, 2))
            results.append(found.segments)
    assert results[0] == results[1] == results[2]
    assert {segment.language for segment in results[0]} == {"en", "de", "fr"}
