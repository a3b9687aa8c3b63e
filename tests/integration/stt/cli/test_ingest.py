"""`stt ingest` with a real database: files that are being written, and what is passed over."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stt.domain.claim import WorkerReport
from stt.media import settling
from stt.store.database import Database
from stt.store.workers import MongoRoster
from tests.support.decoders import dying_decoders
from tests.support.dying_decoder import deadly
from tests.support.recordings import babble, write_recording, write_wav
from tests.unit.stt.cli.conftest import Run

_SETTLE = ("--settle", "5")


class Writer:
    """Another program that writes an mp3; the clock is the test's, so that nothing is slow."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = path.with_name(".whole.mp3")
        self._data = write_recording(whole, 8.0, flags={"write_xing": "0"}).read_bytes()
        whole.unlink()
        self._path = path
        self._slept = 0.0
        self.during_sleep: list[Callable[[], object]] = []
        self._now = 0.0
        monkeypatch.setattr(settling, "time", self)

    def write(self, share: float) -> None:
        """Write the file so far, just now."""
        self._path.write_bytes(self._data[: int(len(self._data) * share)])
        self._now = self._path.stat().st_mtime - self._slept

    def monotonic(self) -> float:
        return self._slept

    def time(self) -> float:
        return self._now + self._slept

    def sleep(self, seconds: float) -> None:
        self._slept += seconds
        if self.during_sleep:
            self.during_sleep.pop(0)()


@pytest.fixture
def writer(stt: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Writer:
    (tmp_path / "talks").mkdir()
    return Writer(tmp_path / "talks" / "live.mp3", monkeypatch)


def test_a_file_in_a_folder_that_grows_is_one_recording_once_it_is_whole(
    stt: Run, database: Database, writer: Writer
) -> None:
    writer.write(0.5)
    writer.during_sleep = [lambda: writer.write(0.7)]
    assert stt("ingest", "talks", *_SETTLE) == 0
    assert stt.err == "Passed over, still being written: talks/live.mp3\n"
    assert database.recordings.count_documents({}) == 0
    writer.write(1.0)
    assert stt("ingest", "talks", *_SETTLE) == 0
    [recording] = database.recordings.find()
    assert recording["duration"] == pytest.approx(8.0, abs=0.2)
    assert stt("ingest", "talks", *_SETTLE) == 0
    assert database.recordings.count_documents({}) == 1


def test_one_that_grows_stops_no_other(stt: Run, database: Database, writer: Writer) -> None:
    write_wav(Path("talks/whole.wav"), babble(1))
    writer.write(0.5)
    writer.during_sleep = [lambda: writer.write(0.7)]
    assert stt("ingest", "talks", *_SETTLE) == 0
    assert [recording["filename"] for recording in database.recordings.find()] == ["whole.wav"]


def test_a_file_that_is_named_is_waited_for(stt: Run, database: Database, writer: Writer) -> None:
    writer.write(0.5)
    writer.during_sleep = [lambda: writer.write(0.7), lambda: writer.write(1.0)]
    assert stt("ingest", "talks/live.mp3", *_SETTLE) == 0
    assert stt.err == (
        "talks/live.mp3 is still being written:"
        " waiting until it has not changed for 5 s (--settle).\n"
    )
    [recording] = database.recordings.find()
    assert recording["duration"] == pytest.approx(8.0, abs=0.2)


def test_a_file_that_vanishes_meanwhile_is_a_line_and_the_rest_goes_on(
    stt: Run, database: Database, writer: Writer
) -> None:
    write_wav(Path("talks/whole.wav"), babble(1))
    writer.write(0.5)
    writer.during_sleep = [Path("talks/live.mp3").unlink]
    assert stt("ingest", "talks", *_SETTLE) == 1
    assert stt.err == "Error: talks/live.mp3: no such file\n"
    assert [recording["filename"] for recording in database.recordings.find()] == ["whole.wav"]


class TestPassedOver:
    @pytest.fixture(autouse=True)
    def folder(self, stt: Run, tmp_path: Path) -> Path:
        folder = tmp_path / "talks"
        folder.mkdir()
        return folder

    def test_files_that_are_no_recordings_are_named_beside_what_succeeded(
        self, stt: Run, folder: Path
    ) -> None:
        write_wav(folder / "talk.wav", babble(1))
        for name in ("a.pdf", "b.csv", "c.doc", "d.xls", "talk.srt", ".hidden", "cover.jpg"):
            (folder / name).touch()
        assert stt("ingest", "talks") == 0
        assert stt.err == (
            "Passed over 7 files that are no recordings:"
            " talks/a.pdf, talks/b.csv, talks/c.doc and 4 more (-v names them)\n"
        )
        assert stt("ingest", "talks", "-v") == 0
        assert "talks/d.xls, talks/.hidden, talks/cover.jpg, talks/talk.srt\n" in stt.err

    def test_what_usually_lies_beside_recordings_is_passed_over_quietly(
        self, stt: Run, folder: Path
    ) -> None:
        write_wav(folder / "talk.wav", babble(1))
        for name in ("talk.srt", "talk.txt", ".hidden", "cover.jpg", "all.m3u"):
            (folder / name).touch()
        assert stt("ingest", "talks") == 0
        assert stt.err == ""

    def test_a_folder_without_a_recording_says_what_was_in_it(self, stt: Run, folder: Path) -> None:
        (folder / "talk.srt").touch()
        assert stt("ingest", "talks") == 1
        assert stt.err == (
            "Passed over 1 file that is no recording: talks/talk.srt\n"
            "Nothing to ingest: no recordings found.\n"
        )

    def test_a_link_that_leads_in_a_circle_is_a_line(
        self, stt: Run, database: Database, folder: Path
    ) -> None:
        write_wav(folder / "talk.wav", babble(1))
        (folder / "again").symlink_to(folder)
        assert stt("ingest", "talks") == 0
        assert stt.err == ("Passed over: talks/again leads to a folder that is searched already.\n")
        assert database.recordings.count_documents({}) == 1


def test_a_file_that_crashes_its_decoder_does_not_end_the_command(
    stt: Run, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "talks").mkdir()
    for name in ("a.wav", "b.wav", "c.wav"):
        write_wav(tmp_path / "talks" / name, babble(2, seed=ord(name[0])))
    with (tmp_path / "talks" / "b.wav").open("ab") as file:
        file.write(deadly("SIGSEGV", 1))
    with dying_decoders(monkeypatch):
        assert stt("ingest", "talks", "--settle", "0") == 1
    assert stt.err == "Error: talks/b.wav: it crashes the decoder (SIGSEGV)\n"
    assert database.recordings.distinct("filename") == ["a.wav", "c.wav"]


def test_a_model_that_no_machine_has_is_said_and_is_no_error(
    stt: Run, database: Database, tmp_path: Path
) -> None:
    MongoRoster(database).report("box_1", WorkerReport(slots=1, models=("base",)))
    write_wav(tmp_path / "talk.wav", babble(2.0))
    assert stt("ingest", "talk.wav", "--model", "huge") == 0
    assert (
        "No machine at work has the model huge: what asks for it waits. There is base." in stt.err
    )


@pytest.mark.parametrize(
    ("flags", "fields", "said"),
    [
        (["--speakers"], {}, "use `stt again FILE --speakers`"),
        (["--speakers", "3"], {"speakers": 0}, "use `stt again FILE --speakers 3`"),
        (["--max-speakers", "4"], {"speakers": 4}, "use `stt again FILE --max-speakers 4`"),
        (["--speakers", "none"], {"speakers": 0}, "use `stt again FILE --speakers none`"),
        (["--speakers"], {"channels": "split"}, "each of its channels is a speaker already"),
        (["--speakers", "3"], {"speakers": 3}, None),
        (["--speakers", "none"], {"channels": "split"}, None),
        ([], {"speakers": 3}, None),
    ],
)
def test_what_is_in_the_queue_keeps_its_speakers_with_a_word(
    stt: Run,
    database: Database,
    tmp_path: Path,
    flags: list[str],
    fields: dict[str, object],
    said: str | None,
) -> None:
    write_wav(tmp_path / "talk.wav", babble(2))
    assert stt("ingest", "talk.wav", *flags) == 0
    assert "stt again" not in stt.out + stt.err, "it is new"
    database.recordings.update_one({}, {"$unset": {"speakers": "", "max_speakers": ""}})
    database.recordings.update_one({}, {"$set": fields}) if fields else None
    assert stt("ingest", "talk.wav", *flags) == 0
    text = " ".join((stt.out + stt.err).split())
    assert (said or "already there") in text
    assert ("talk.wav is in the queue" in text) is (said is not None)
