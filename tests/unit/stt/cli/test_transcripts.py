"""Transcripts written to stdout, a file or a folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import Mock

import pytest
from bson import ObjectId

from stt.cli.output import Output
from stt.cli.transcripts import write_transcripts
from stt.domain.chunk import Recording
from stt.transcripts.cue_splitting import DEFAULT_LIMITS, CueLimits
from stt.transcripts.files import file_stems

TALK, DIARY = Recording(ObjectId(), "talk.mp3"), Recording(ObjectId(), "diary.mp3")


@dataclass(frozen=True)
class FakeHeader:
    is_partial: bool
    partial_notice: str = "Partial transcript"


class FakeExport:
    """Stands in for a transcript; the diary's lacks two chunks that failed."""

    def __init__(self, _: object, recording: Recording) -> None:
        self._name = recording.filename
        is_partial = recording == DIARY
        self.header = FakeHeader(is_partial)
        self.failed_chunks = 2 if is_partial else 0
        self.text_language = None if is_partial else "de"
        self.silent_speech_seconds = 75.4 if is_partial else 0.4

    def pieces(self, format_name: str, limits: CueLimits) -> Iterator[str]:
        assert limits == DEFAULT_LIMITS
        yield f"{self._name} "
        yield f"as {format_name}: grüße \ud83d\n"


@pytest.fixture(autouse=True)
def _exports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stt.cli.transcripts.Export", FakeExport)
    recordings = Mock(file_stems=file_stems)
    monkeypatch.setattr("stt.cli.transcripts.MongoRecordings", lambda _: recordings)


def written(*recordings: Recording, to: Output = Output(), whole: bool = False) -> int:  # noqa: B008
    named = [(recording.filename, recording) for recording in recordings]
    return len(write_transcripts(Mock(), named, to, require_complete=whole))


def test_one_transcript_goes_to_stdout_as_utf_8_whatever_the_terminal_has(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    assert written(TALK) == 0
    assert capfdbinary.readouterr().out == "talk.mp3 as txt: grüße ?\n".encode()


def test_several_texts_on_stdout_have_titles_and_other_formats_none(
    capfd: pytest.CaptureFixture[str],
) -> None:
    written(TALK, DIARY)
    out = capfd.readouterr().out
    assert out.startswith("==> talk.mp3 <==\ntalk.mp3 as txt")
    assert "==> diary.mp3 <==\n" in out
    written(TALK, DIARY, to=Output(("json",)))
    assert "==>" not in capfd.readouterr().out


def test_a_title_moves_no_cursor_and_hides_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    written(TALK, Recording(ObjectId(), "a\x1b[2J\u202egpj.mp3"))
    assert "==> a [2J gpj.mp3 <==\n" in capfd.readouterr().out


def test_a_folder_gets_a_file_for_each_recording_and_format(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = Output(("srt", "json"), folder=tmp_path / "out")
    assert written(TALK, DIARY, to=out) == 1
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["diary.json", "diary.srt", "talk.json", "talk.srt"]
    assert f"Wrote {tmp_path}/out/talk.srt" in capfd.readouterr().err


def test_a_partial_one_is_written_with_a_warning_unless_complete_ones_are_required(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "diary.txt"
    assert written(DIARY, to=Output(file=file), whole=True) == 1
    assert not file.exists()
    assert written(DIARY, to=Output(file=file)) == 1
    assert file.read_text().startswith("diary.mp3 as txt")
    warning = "Warning: diary.mp3: Partial transcript. 2 chunks failed: `stt status` says why."
    assert capfd.readouterr().err.splitlines()[0] == warning


def test_speech_that_gave_no_text_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    written(TALK)
    assert capfd.readouterr().err == ""
    written(DIARY)
    line = "Warning: diary.mp3: 1m 15s of speech gave no text."
    assert capfd.readouterr().err.splitlines()[1] == line


def test_files_can_be_named_by_the_language_of_their_text(tmp_path: Path) -> None:
    written(TALK, DIARY, to=Output(("srt",), folder=tmp_path, language_suffix=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["diary.und.srt", "talk.de.srt"]


class TestBeside:
    def names(self, folder: Path, *sources: str, **options: bool) -> list[str]:
        """Return the files that are new when these recordings' transcripts are written."""
        for source in sources:
            (folder / source).touch()
        before = set(folder.iterdir())
        named = [(str(folder / source), TALK) for source in sources]
        write_transcripts(Mock(), named, Output(("txt", "srt"), beside=True, **options))  # type: ignore[arg-type]
        return sorted(path.name for path in {*folder.iterdir()} - before)

    def test_files_are_named_by_their_recording(self, tmp_path: Path) -> None:
        (tmp_path / "talk.jpg").touch()
        assert self.names(tmp_path, "talk.mp3") == ["talk.srt", "talk.txt"]
        named = self.names(tmp_path, "film.mkv", language_suffix=True)
        assert named == ["film.de.srt", "film.de.txt"]

    def test_recordings_that_differ_by_their_extension_keep_it(self, tmp_path: Path) -> None:
        assert self.names(tmp_path, "talk.mp3", "Talk.wav") == [
            "Talk.wav.srt", "Talk.wav.txt", "talk.mp3.srt", "talk.mp3.txt",
        ]  # fmt: skip

    def test_one_that_is_called_as_another_without_its_extension_keeps_it(
        self, tmp_path: Path
    ) -> None:
        assert self.names(tmp_path, "a.wav", "a.mp3", "a.wav.mp3") == [
            "a.mp3.srt", "a.mp3.txt", "a.wav.mp3.srt", "a.wav.mp3.txt", "a.wav.srt", "a.wav.txt",
        ]  # fmt: skip

    def test_a_recording_is_never_overwritten(self, tmp_path: Path) -> None:
        assert self.names(tmp_path, "notes.txt") == ["notes.txt.srt", "notes.txt.txt"]
