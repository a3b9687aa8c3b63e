"""`stt export`: which recordings, in which format, to where."""

from pathlib import Path
from unittest.mock import Mock

import pytest
from bson import ObjectId

from stt.cli.output import Output
from stt.domain.chunk import Recording
from stt.store.recording_names import labels_of
from stt.transcripts.cue_splitting import CueLimits
from tests.unit.stt.cli.conftest import Run

TALK, DIARY = Recording(ObjectId(), "talk.mp3"), Recording(ObjectId(), "diary.mp3")


@pytest.fixture
def written(no_database: Mock, monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Stand in for what writes transcripts; it returns how many are partial."""
    found = {recording.filename: recording for recording in (TALK, DIARY)}
    recordings = Mock(all=lambda: iter(found.values()), find=found.__getitem__, labels=labels_of)
    monkeypatch.setattr("stt.cli.export.MongoRecordings", lambda _: recordings)
    write = Mock(return_value=0)
    monkeypatch.setattr("stt.cli.export.write_transcripts", write)
    return write


def arguments_of(write: Mock) -> tuple[list[str], Output]:
    """Return the names and the output of the only call."""
    [call] = write.call_args_list
    _, named, output = call.args
    return [name for name, _ in named], output


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ([], Output()),
        (["-o", "talk.srt"], Output(("srt",), file=Path("talk.srt"))),
        (["-o", "talk.SRT"], Output(("srt",), file=Path("talk.SRT"))),
        (["-o", "talk.srt", "-f", "vtt"], Output(("vtt",), file=Path("talk.srt"))),
        (["-o", "v1.5/"], Output(folder=Path("v1.5"))),
        (["-f", "srt", "-f", "json", "-o", "o"], Output(("srt", "json"), folder=Path("o"))),
        (["-o", "o/", "--max-lines", "1"], Output(limits=CueLimits(42, 1, 7), folder=Path("o"))),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_format_is_that_of_the_flag_or_else_of_the_files_name(
    stt: Run, written: Mock, arguments: list[str], output: Output
) -> None:
    assert stt("export", "talk.mp3", *arguments) == 0
    assert arguments_of(written) == (["talk.mp3"], output)


def test_no_recording_is_overwritten_by_a_transcript(
    stt: Run, written: Mock, tmp_path: Path
) -> None:
    for name, reason in (("talk.mp3", "the recording itself"), ("other.WAV", "a recording")):
        (tmp_path / name).write_bytes(b"audio")
        assert stt("export", "talk.mp3", "-f", "srt", "-o", name) == 2
        assert f"--output {name} is {reason}." in " ".join(stt.err.split())
    written.assert_not_called()
    assert stt("export", "talk.mp3", "-f", "srt", "-o", "new.wav") == 0


def test_all_recordings_go_into_a_folder(stt: Run, written: Mock) -> None:
    assert stt("export", "--all", "-o", "out/") == 0
    assert arguments_of(written) == (["talk.mp3", "diary.mp3"], Output(folder=Path("out")))


def test_transcripts_are_written_next_to_files_that_are_there(
    stt: Run, written: Mock, tmp_path: Path
) -> None:
    assert stt("export", "talk.mp3", "--beside") == 2
    assert "--beside needs the files of the recordings: talk.mp3 is none." in " ".join(
        stt.err.split()
    )
    (tmp_path / "talk.mp3").touch()
    assert stt("export", "talk.mp3", "--beside") == 0
    assert arguments_of(written) == (["talk.mp3"], Output(beside=True))


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
        (["a", "b", "-f", "txt"], "Several recordings need a folder"),
        (["a", "-f", "srt", "-f", "vtt"], "Several formats need a folder: --output DIR/"),
        (["--all", "--beside"], "name them in place of --all"),
        (["a", "--beside", "-o", "o/"], "--beside and --output exclude each other."),
        (["a", "--language-suffix"], "--language-suffix needs a folder"),
        (["a", "--max-lines", "-1"], "Invalid value for '--max-lines'"),
    ],
    ids=" ".join,
)
def test_wrong_usage_says_what_to_do(stt: Run, arguments: list[str], reason: str) -> None:
    assert stt("export", *arguments) == 2
    assert reason in " ".join(stt.err.split())
