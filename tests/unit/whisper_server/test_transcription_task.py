"""One recording's steps: who may read it when, and when its files may be closed."""

import io
import threading
from functools import partial

from tests.support.whisper_stand_in import wav
from whisper_server.engines.base import Options
from whisper_server.recording import Recording
from whisper_server.transcription_task import PreparationConfig, QueuedWindow, TranscriptionTask
from whisper_server.windows import cut_into_windows

CUT = partial(cut_into_windows, window_seconds=30.0, find_speech=None)


def work_on(file: io.BytesIO, ahead: int = 4) -> TranscriptionTask:
    manner = PreparationConfig(
        CUT, CUT, lambda samples: samples, lambda window: None, lambda: ahead, False
    )
    recording = Recording([file], 36_000, "file")
    return TranscriptionTask(recording, Options(language="en"), manner, lambda progress: None)


class Interrupted(threading.Event):
    """Lets another thread try to claim a step just when the last one is said to be over."""

    def __init__(self, work: TranscriptionTask) -> None:
        super().__init__()
        self._work = work
        self.other = threading.Thread(target=work.claims_step)

    def set(self) -> None:
        self.other.start()
        self.other.join(0.1)
        super().set()


def test_a_step_that_is_claimed_as_another_ends_keeps_the_files_open() -> None:
    work = work_on(io.BytesIO(wav(120.0)))
    assert work.claims_step()
    work._no_step_runs = event = Interrupted(work)
    work.forgo_step()
    event.other.join(5)
    assert work.is_read


def test_a_recording_that_nobody_waits_for_is_not_read_any_more() -> None:
    file = io.BytesIO(wav(120.0))
    work = work_on(file)
    assert work.claims_step()
    work.result.cancel()
    file.close()
    work.measure()
    assert work.step() == []
    assert (work.total_seconds, work.is_read) == (0.0, False)


def test_a_step_whose_room_was_given_to_others_prepares_nothing() -> None:
    room = [4]
    manner = PreparationConfig(
        CUT, CUT, lambda samples: samples, lambda w: None, lambda: room[0], False
    )
    recording = Recording([io.BytesIO(wav(600.0))], 36_000, "file")
    work = TranscriptionTask(recording, Options(language="en"), manner, lambda progress: None)
    first: list[QueuedWindow] = []
    while len(first) < 3:
        assert work.claims_step()
        first += work.step()
    assert work.claims_step()
    room[0] = 1
    assert work.step() == []
    room[0] = 4
    assert work.claims_step()
    positions = [queued.position for queued in [*first, *work.step()]]
    assert positions == list(range(len(positions)))
