"""The tables of stt status and stt workers."""

import re
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

from bson import ObjectId
from rich.console import Console

from stt.cli import tables
from stt.cli.formatting import local_time
from stt.doctor.checks import Finding
from stt.domain.claim import WorkerReport
from stt.store.counts import StateCounts, state_of_recording
from stt.store.model_routing import WaitingChunks
from stt.store.notification_status import DestinationStatus
from stt.store.status import FailedChunk, QueueStatus, Rate, RecordingProgress
from stt.store.workers import WorkerStatus
from stt.whisper.model_names import ALIASES, ANY_MODEL

ROOT = Path(__file__).parents[4]
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


IDLE = Rate(600.0, 0, 0.0, 0.0)


def shown(status: QueueStatus, *members: WorkerStatus) -> str:
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(tables.status_screen(status, members, "stt at mongodb://db"))
    return capture.get()


def status(counts: StateCounts, **fields: object) -> QueueStatus:
    values: dict[str, object] = {
        "at": NOW, "counts": counts, "empty": 0, "resting": 0, "stale": 0, "rate": IDLE,
        "eta_seconds": None,
    }  # fmt: skip
    return QueueStatus(**(values | fields))  # type: ignore[arg-type]


BUSY = Rate(600.0, 100, 10.0, 5.0)


ALIVE = WorkerStatus("box_1", WorkerReport("box", 1, "0", "http://g", "working", 4, (), {}), 3.0)


class TestStatusScreen:
    def test_the_states_have_the_words_of_the_glossary_and_of_the_pages(self) -> None:
        counts = StateCounts(pending=13, processing=14, transcribed=15, failed=16)
        on_screen = re.findall(r"^(\w+) +1[3-6]\b", shown(status(counts)), re.MULTILINE)
        glossary = (ROOT / "docs/glossary.md").read_text()
        public_names = dict(
            re.findall(r"^\| (\w+) \| said of a chunk.* \| `(\w+)` \|$", glossary, re.M)
        )
        script = (ROOT / "stt/coordinator/web/chunk_states.js").read_text()
        on_pages = re.findall(r'^  \["(\w+)", "(\w+)"\],$', script, re.MULTILINE)
        assert on_screen == list(public_names)
        assert dict(on_pages) == {name: word for word, name in public_names.items()}

    def test_an_empty_queue_says_what_to_do(self) -> None:
        assert "stt ingest" in shown(status(StateCounts()))

    def test_a_queue_without_workers_says_how_to_start_one(self) -> None:
        text = shown(status(StateCounts(pending=3)))
        assert "No machine is at work. Start a worker with: stt" in text

    def test_a_busy_one_shows_speed_and_time_left(self) -> None:
        text = shown(status(StateCounts(pending=3), rate=BUSY, eta_seconds=5400.0), ALIVE)
        assert "1 machine at work · 10.0 chunks/min · 5.0 s of audio per second" in text
        assert "about 1h 30m left" in text

    def test_notifications_that_were_not_taken_say_why_and_when_they_are_tried_again(self) -> None:
        one = DestinationStatus("hooks.example", 3, 0, "HTTP 500", NOW, is_attended=True)
        text = shown(status(StateCounts(transcribed=1), notifications=(one,)))
        at = local_time(NOW.timestamp())
        assert f"3 notifications wait for hooks.example: HTTP 500. Next try at {at}." in text
        one = DestinationStatus("--on-done", 1, 2, "exit code 3", None, is_attended=False)
        text = shown(status(StateCounts(transcribed=1), notifications=(one,)))
        assert "1 notification waits for --on-done: exit code 3. No process delivers them" in text
        assert "2 notifications to --on-done were given up." in text

    def test_a_done_one_says_so(self) -> None:
        assert "Nothing is left to do." in shown(status(StateCounts(transcribed=3)))

    def test_a_done_one_with_failures_says_that_too(self) -> None:
        text = shown(status(StateCounts(transcribed=3, failed=1)))
        assert "Nothing is left to do, but 1 chunk has failed." in text
        text = shown(status(StateCounts(failed=2)))
        assert "Nothing is left to do, but 2 chunks have failed." in text

    def test_chunks_at_rest_show_their_last_error_and_the_next_try(self) -> None:
        resting = FailedChunk(
            ObjectId("6" * 24), None, "talk.mp3", 7, 1, None, "server_fault", "500", "w",
            again_at=NOW,
        )  # fmt: skip
        text = shown(status(StateCounts(pending=3), resting=3, resting_chunks=(resting,)))
        assert "Waiting after a failure" in text
        assert f"no. 7 of talk.mp3, 1 try, again at {local_time(NOW.timestamp())}" in text
        assert "server_fault: 500" in text
        assert "… and 2 more" in text
        assert "stt retry" not in text

    def test_chunks_that_wait_for_a_model_are_shown_with_it(self) -> None:
        missing = (WaitingChunks("large-v3", 12), WaitingChunks("b\x1b[31mig", 1))
        text = shown(status(StateCounts(pending=13), missing_models=missing), ALIVE)
        assert "12 chunks wait for model large-v3, which no machine has.\n" in text
        assert "1 chunk waits for model b" in text
        assert "\x1b" not in text

    def test_failures_show_their_error_and_the_way_out(self) -> None:
        failed = FailedChunk(
            ObjectId("6" * 24), None, "talk\x1b.mp3", 7, 3, NOW, "bad_audio", "no [audio]", "w",
            "http://gpu\x1b-box:8081",
        )  # fmt: skip
        text = shown(status(StateCounts(failed=2), failed_chunks=(failed,)))
        assert f"{'6' * 24}  no. 7 of talk .mp3, 3 tries" in text
        assert "bad_audio: no [audio] (http://gpu -box:8081)" in text
        assert "bad_audio: The audio of this part cannot be read. Listen to it." in text
        assert "… and 1 more" in text
        assert "stt retry" in text

    def test_of_many_recordings_the_unfinished_come_first_and_the_rest_is_counted(self) -> None:
        done = [
            RecordingProgress(ObjectId(), f"done{n}.mp3", 60.0, False, StateCounts(transcribed=1))
            for n in range(30)
        ]
        half = RecordingProgress(
            ObjectId(), "half.mp3", 60.0, is_ingesting=True, counts=StateCounts(1, 0, 1, 0),
            silent_speech_seconds=80.2,
        )  # fmt: skip
        text = shown(status(StateCounts(1, 0, 31, 0), sources=(half, *done)))
        assert text.index("half.mp3") < text.index("done29.mp3")
        assert "… and 11 more" in text
        assert "50 %" in text
        assert "preparing" in text
        assert text.count("speech") == text.count("1m 20s of speech gave no text")


def test_the_words_for_recordings_are_those_of_the_pages() -> None:
    script = (ROOT / "stt/coordinator/web/chunk_states.js").read_text()
    words = re.findall(r'"([a-z ]+)"', script[script.index("export function recordingState") :])
    each = [
        state_of_recording(StateCounts(*counts), is_ingesting=is_ingesting)
        for counts in product((0, 1), repeat=4)
        for is_ingesting in (False, True)
    ]
    assert set(each) == set(words)


def test_the_short_names_of_models_are_those_of_the_pages() -> None:
    script = (ROOT / "stt/coordinator/web/fleet_models.js").read_text()
    assert dict(re.findall(r'(\w+): "(large-[\w-]+)"', script)) == ALIASES
    assert f'ANY_MODEL = "{ANY_MODEL}"' in script


def test_a_worker_that_fell_silent_is_shown_as_gone() -> None:
    silent = WorkerStatus("box_2", ALIVE.report, 4000.0)
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(tables.workers_table([ALIVE, silent]))
    _, alive, gone = capture.get().splitlines()
    assert "idle" in alive
    assert "gone" in gone
    assert "1h 06m ago" in gone


def test_a_finding_has_what_to_do_below_it_and_moves_no_cursor() -> None:
    console = Console(width=60, color_system=None)
    with console.capture() as capture:
        console.print(
            tables.finding_line(Finding("disk", "warning", "a\x1b[2J full", "Make room."))
        )
        console.print(tables.finding_line(Finding("versions", "ok", "fine")))
    first, second, third = capture.get().splitlines()
    assert first.split() == ["warning", "disk", "a", "[2J", "full"]
    assert second.strip() == "→ Make room."
    assert third.split() == ["ok", "versions", "fine"]
