"""`stt ingest`: options, what is said of each file, and the exit code."""

from collections.abc import Set
from pathlib import Path
from unittest.mock import Mock

import pytest
from bson import ObjectId

from stt.domain.chunk import Recording
from stt.errors import RecordingError
from stt.media.folders import FoundFile
from stt.media.recording_path import RecordingPath
from stt.store.ingest import Ingested
from stt.store.ingest_options import IngestOptions
from tests.unit.stt.cli.conftest import Run


def found(path: Path) -> FoundFile:
    return FoundFile(path, RecordingPath(path.name), is_named=True)


@pytest.fixture
def ingested(
    no_database: Mock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> list[IngestOptions]:
    """Stand in for `stt.store.ingest`: files called bad cannot be read."""
    for name in ("talk.mp3", "call.wav", "bad.wav", "known.wav", "a.wav", "b.wav"):
        (tmp_path / name).touch()
    options_of: list[IngestOptions] = []

    def ingest(
        _: object,
        path: Path,
        options: IngestOptions,
        __: object,
        place: RecordingPath,
        cut_anew: Set[str],
        begun: object,
    ) -> Ingested:
        assert not cut_anew
        options_of.append(options)
        if "bad" in path.name:
            raise RecordingError(f"{path}: not audio")
        known = "known" in path.name
        recording = Recording(ObjectId(), path.name, duration=65.0)
        return Ingested(recording, 3, "already there" if known else "ingested")

    monkeypatch.setattr("stt.cli.ingest.note_missing_model", lambda *_: None)
    monkeypatch.setattr("stt.store.ingest.ingest", ingest)
    monkeypatch.setattr("stt.media.folders.find_recordings", lambda paths, _: map(found, paths))
    return options_of


def test_the_flags_become_the_options_of_the_recording(
    stt: Run, ingested: list[IngestOptions]
) -> None:
    flags = "--language de --priority -5 --model tiny --chunk-seconds 20"
    texts = ["--prompt", "Ann Müller", "--hotwords", "Bo Li", "--task", "translate"]
    assert stt("ingest", "talk.mp3", *flags.split(), *texts) == 0
    assert ingested == [IngestOptions("de", "Ann Müller", -5, 20.0, "tiny", "Bo Li", "translate")]
    assert "talk.mp3: ingested, 3 chunks, 1:05" in stt.out


@pytest.mark.parametrize(
    ("flags", "speakers", "most"),
    [
        ((), None, None),
        (("--speakers",), 0, None),
        (("--speakers", "3"), 3, None),
        (("--speakers", "none"), None, None),
        (("--max-speakers", "5"), 0, 5),
        (("--diarize", "--max_speakers", "5"), 0, 5),
    ],
)
def test_speakers_are_found_if_asked_for(
    stt: Run,
    ingested: list[IngestOptions],
    flags: tuple[str, ...],
    speakers: int | None,
    most: int | None,
) -> None:
    assert stt("ingest", "talk.mp3", *flags) == 0
    assert ingested == [IngestOptions(speakers=speakers, max_speakers=most)]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        *(
            (f"--speakers={text}", "write how many speak")
            for text in ("0", "some", "-1", "9" * 5_000)
        ),
        ("--speakers -1", "write how many speak"),
        ("--speakers=51", "from 1 to 50"),
        *(
            (f"--max-speakers={number}", "Invalid value for '--max-speakers'")
            for number in (0, -1, 51, 10**30)
        ),
        ("--max-speakers=some", "should be a valid integer"),
        ("--speakers 2 --max-speakers 5", "leave out one of the two"),
        ("--speakers none --max-speakers 5", "leave out --max-speakers"),
        ("--max-speakers 5 --channels split", "Split channels are speakers already"),
    ],
)
def test_a_wrong_number_of_speakers_is_refused(stt: Run, wrong: str, message: str) -> None:
    assert stt("ingest", "talk.mp3", *wrong.split()) == 2
    assert message in " ".join(stt.err.split())
    assert len(stt.err) < 500


def test_channels_are_mixed_or_split(stt: Run, ingested: list[IngestOptions]) -> None:
    assert stt("ingest", "call.wav", "--channels", "split") == 0
    assert ingested == [IngestOptions(channels="split")]
    assert stt("ingest", "call.wav", "--channels", "left") == 2
    assert "mix or split" in " ".join(stt.err.split())


def test_several_files_are_summed_up_and_a_bad_one_stops_no_other(
    stt: Run, ingested: list[IngestOptions]
) -> None:
    assert stt("ingest", "bad.wav", "known.wav", "a.wav", "b.wav") == 1
    assert stt.err == "Error: bad.wav: not audio\n"
    words, counts = stt.out.splitlines()[-2:]
    assert words.startswith("Cut 2 recordings, 2m 10s of audio in 1s, ")
    assert counts.endswith("2 ingested, 1 already there, 1 failed")
    assert len(ingested) == 4


def test_a_folder_without_recordings_is_exit_code_1(
    stt: Run, no_database: Mock, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    assert stt("ingest", "empty") == 1
    assert "Nothing to ingest: no recordings found." in stt.err


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--chunk-seconds", "0.5"], "A chunk of 0.5 s is not possible"),
        (["--chunk-seconds", "nan"], "not possible"),
        (["--language", "not a language"], "not a language code"),
        (["--task", "sing"], "'sing' is no task: choose transcribe or translate."),
        (["--hotwords", "x" * 10_001], "The hotwords may have 10000 characters and not 10001"),
        (["--model", "../x y"], "no model's name"),
        (["--model", "/srv/models/tiny.en-of-ours"], "'/srv/models/tiny.en-of-ours' is no model's"),
        (["--model", "~/tiny"], "a folder is named by STT_MODEL or `stt transcribe --model`."),
        (["--model", "?" * 201], f"'{'?' * 99}…' is no model's name"),
        (["--task", "transcription-of-all-of-it"], "'transcription-of-all-of-it' is no task"),
        (["--priority", "high"], "valid integer"),
        (["--priority", str(10**10)], "less than or equal to 1000000000"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_an_option_that_cannot_be_is_refused_before_the_database_is_opened(
    stt: Run, flags: list[str], reason: str
) -> None:
    assert stt("ingest", "talk.mp3", *flags) == 2
    assert reason in " ".join(stt.err.split())
