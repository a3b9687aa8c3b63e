"""One recording's steps: who may read it when, and when its files may be closed."""

import asyncio
import io
import threading
from collections.abc import Generator, Iterable
from dataclasses import replace

from tests.support.event_loop import in_event_loop
from tests.support.whisper_bench import ENGLISH, bench, soon
from tests.support.whisper_stand_in import StandInEngine, wav
from whisper_server.audio_windows import Window, cut_into_windows
from whisper_server.engines.base import Options, Samples
from whisper_server.quality import LADDER
from whisper_server.recording import Recording
from whisper_server.transcription_task import PreparationConfig, QueuedWindow, TranscriptionTask


def cut(blocks: Iterable[Samples], _: bool) -> Generator[list[Window], None, None]:
    return cut_into_windows(blocks, 30.0, None)


def task_of(file: io.BytesIO, ahead: int = 4) -> TranscriptionTask:
    config = PreparationConfig(
        cut, lambda samples: samples, lambda window: None, lambda: ahead, False
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
    config = PreparationConfig(cut, lambda samples: samples, lambda w: None, lambda: room[0], False)
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
