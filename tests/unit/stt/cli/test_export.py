"""`stt export`: which recordings, in which format, to where."""

from unittest.mock import Mock

import pytest
from bson import ObjectId

from stt.domain.chunk import Recording
from tests.unit.stt.cli.conftest import Run

TALK, DIARY = Recording(ObjectId(), "talk.mp3"), Recording(ObjectId(), "diary.mp3")


@pytest.fixture
def written(no_database: Mock, monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Stand in for what writes transcripts; it returns how many are partial."""
    found = {recording.filename: recording for recording in (TALK, DIARY)}
    recordings = Mock(all=lambda: iter(found.values()), find=found.__getitem__)
    monkeypatch.setattr("stt.cli.export.MongoRecordings", lambda _: recordings)
    write = Mock(return_value=0)
    monkeypatch.setattr("stt.cli.export.write_transcripts", write)
    return write


def arguments_of(write: Mock) -> tuple[list[str], str, str]:
    """Return the names, the format and the target of the only call."""
    [call] = write.call_args_list
    _, named, format_name, output = call.args
    return [name for name, _ in named], format_name, output


@pytest.mark.parametrize(
    ("arguments", "format_name", "output"),
    [
        ([], "txt", "-"),
        (["-o", "talk.srt"], "srt", "talk.srt"),
        (["-o", "talk.SRT"], "srt", "talk.SRT"),
        (["-o", "talk.srt", "-f", "vtt"], "vtt", "talk.srt"),
        (["-o", "v1.5/"], "txt", "v1.5/"),
    ],
    ids=" ".join,
)
def test_the_format_is_that_of_the_flag_or_else_of_the_files_name(
    stt: Run, written: Mock, arguments: list[str], format_name: str, output: str
) -> None:
    assert stt("export", "talk.mp3", *arguments) == 0
    assert arguments_of(written) == (["talk.mp3"], format_name, output)


def test_all_recordings_go_into_a_folder(stt: Run, written: Mock) -> None:
    assert stt("export", "--all", "-o", "out/") == 0
    assert arguments_of(written) == (["talk.mp3", "diary.mp3"], "txt", "out/")


@pytest.mark.parametrize(
    ("flags", "code"), [([], 0), (["--require-complete"], 1)], ids=["partial", "complete"]
)
def test_a_partial_transcript_is_an_error_only_if_a_complete_one_is_required(
    stt: Run, written: Mock, flags: list[str], code: int
) -> None:
    written.return_value = 1
    assert stt("export", "talk.mp3", *flags) == code
    assert written.call_args.kwargs == {"require_complete": bool(flags)}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "Name a recording, or use --all."),
        (["talk.mp3", "--all", "-o", "out/"], "Name a recording, or use --all."),
        (["--all"], "Several recordings need a folder"),
        (["a", "b", "-o", "one.txt"], "Several recordings need a folder"),
        (["a", "-o", "a.docx"], "Unknown format 'docx'"),
    ],
    ids=" ".join,
)
def test_wrong_usage_says_what_to_do(stt: Run, arguments: list[str], reason: str) -> None:
    assert stt("export", *arguments) == 2
    assert reason in " ".join(stt.err.split())
