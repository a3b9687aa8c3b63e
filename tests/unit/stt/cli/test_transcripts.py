"""Transcripts written to stdout, a file or a folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import Mock

import pytest
import typer
from bson import ObjectId

from stt.cli.transcripts import STDOUT, checked_format, is_folder, write_transcripts
from stt.domain.chunk import Recording
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

    def pieces(self, format_name: str) -> Iterator[str]:
        yield f"{self._name} "
        yield f"as {format_name}: grüße \ud83d\n"


@pytest.fixture(autouse=True)
def _exports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stt.cli.transcripts.Export", FakeExport)
    recordings = Mock(file_stems=file_stems)
    monkeypatch.setattr("stt.cli.transcripts.MongoRecordings", lambda _: recordings)


def written(
    *recordings: Recording, to: str = STDOUT, kind: str = "txt", whole: bool = False
) -> int:
    named = [(recording.filename, recording) for recording in recordings]
    return write_transcripts(Mock(), named, kind, to, require_complete=whole)


@pytest.mark.parametrize(
    ("name", "found"), [(None, "txt"), ("", "txt"), ("SRT", "srt"), ("json", "json")]
)
def test_a_format_is_known_in_any_case_and_txt_if_none_is_named(
    name: str | None, found: str
) -> None:
    assert checked_format(name) == found


def test_an_unknown_format_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(typer.BadParameter, match=r"Unknown format 'docx': use --format .*srt"):
        checked_format("docx")


def test_a_folder_ends_with_a_slash_or_is_there_already(tmp_path: Path) -> None:
    assert is_folder("new/")
    assert is_folder(str(tmp_path))
    assert not is_folder(str(tmp_path / "new"))
    assert not is_folder(STDOUT)
    assert not is_folder("x" * 5_000)


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
    written(TALK, DIARY, kind="json")
    assert "==>" not in capfd.readouterr().out


def test_a_folder_gets_a_file_for_each(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert written(TALK, DIARY, to=f"{tmp_path}/out/", kind="srt") == 1
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["diary.srt", "talk.srt"]
    assert f"Wrote {tmp_path}/out/talk.srt" in capfd.readouterr().err


def test_a_partial_one_is_written_with_a_warning_unless_complete_ones_are_required(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "diary.txt"
    assert written(DIARY, to=str(file), whole=True) == 1
    assert not file.exists()
    assert written(DIARY, to=str(file)) == 1
    assert file.read_text().startswith("diary.mp3 as txt")
    warning = "Warning: diary.mp3: Partial transcript. 2 chunks failed: `stt status` says why."
    assert capfd.readouterr().err.splitlines()[0] == warning
