"""`stt transcribe`: what is refused before the work, and when there is no work to do."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import MagicMock, Mock

import pytest
from bson import ObjectId

from stt.cli.output import Output
from stt.domain.chunk import Recording
from stt.settings import Settings
from stt.store.counts import StateCounts
from stt.store.ingest import Ingested, Status
from tests.unit.stt.cli.conftest import Run

TALK = Recording(ObjectId(), "talk.mp3")


class Work:
    """Stands in for all that the command calls: `counts` are those of each read of the queue."""

    def __init__(self) -> None:
        self.counts: list[StateCounts] = []
        self.refused: set[str] = set()
        self.stale = 0
        self.recording = TALK
        self.servers = self.began = 0
        self.runs: list[Settings] = []
        self.write = Mock(return_value=[])
        self.renew = Mock()
        self.warn = Mock()
        self.status: Status = "ingested"
        self.model: str | None = None
        self.speakers: int | None = None
        self.with_speakers: list[bool] = []

    def details(self, _: ObjectId) -> Mock:
        return Mock(counts=self.counts.pop(0) if self.counts else StateCounts())

    def ingest(
        self, _: object, paths: list[Path], *__: object
    ) -> Iterator[tuple[Path, Ingested | None]]:
        for path in paths:
            is_talk = path.name == TALK.filename
            recording = self.recording if is_talk else Recording(ObjectId(), path.name)
            refused = path.name in self.refused
            yield path, None if refused else Ingested(recording, 1, self.status)

    def get(self, _: ObjectId) -> Recording:
        return replace(TALK, model=self.model, speakers=self.speakers)

    def several(self, ids: list[ObjectId]) -> list[Recording]:
        return [self.get(id_) for id_ in ids if id_ == TALK.id]

    @contextmanager
    def starting_servers(
        self, settings: Settings, *, at_once: bool, speakers: bool
    ) -> Iterator[Mock]:
        def ready(model: str | None, *, speakers: bool) -> Settings:
            self.servers += 1
            self.with_speakers.append(speakers)
            return settings.model_copy(update={"model": model})

        self.began += at_once
        self.with_speakers.append(speakers)
        yield Mock(ready=ready)


@pytest.fixture
def work(no_database: Mock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Work:
    work = Work()
    (tmp_path / "copies").mkdir()
    for name in ("talk.mp3", "b.mp3", "bad.wav", "copies/talk.mp3"):
        (tmp_path / name).touch()
    for name, value in {
        "MongoRecordings": lambda _: work,
        "ingest_files": work.ingest,
        "renew_stored": work.renew,
        "say_without_speakers": lambda *_: None,
        "starting_servers": work.starting_servers,
        "queue_status": lambda *_: Mock(stale=work.stale),
        "warn_of_absent_servers": work.warn,
        "run_worker": lambda _, settings, __: work.runs.append(settings),
        "write_transcripts": work.write,
        "_POLL_SECONDS": 0.0,
    }.items():
        monkeypatch.setattr(f"stt.cli.transcribe.{name}", value)
    monkeypatch.setattr("stt.cli.stored_text.MongoRecordings", lambda _: work)
    return work


def test_a_recording_that_was_transcribed_before_starts_no_server(stt: Run, work: Work) -> None:
    assert stt("transcribe", "talk.mp3") == 0
    assert (work.servers, work.runs) == (0, [])
    assert work.write.call_args.args[1:] == ([("talk.mp3", TALK)], Output())


def test_only_the_options_that_were_given_are_compared_with_stored_text(
    stt: Run, work: Work
) -> None:
    assert stt("transcribe", "talk.mp3", "--task", "translate") == 0
    assert work.renew.call_args.args[1:3] == ([], {"task": "translate"})
    work.status = "already there"
    assert stt("transcribe", "talk.mp3", "--language", "German", "-o", "x.txt") == 0
    assert work.renew.call_args.args[1:3] == ([("talk.mp3", TALK)], {"language": "de"})


def test_stored_text_is_written_with_the_options_that_were_given_now(stt: Run, work: Work) -> None:
    work.status, work.speakers = "already there", 2
    assert stt("transcribe", "talk.mp3", "copies/talk.mp3", "--speakers", "2", "--beside") == 0
    written = work.write.call_args.args[1]
    assert [(name, recording.speakers) for name, recording in written] == [
        ("talk.mp3", 2), ("copies/talk.mp3", 2),
    ]  # fmt: skip


def test_a_server_of_this_machine_gets_the_model_that_the_recordings_want(
    stt: Run, work: Work
) -> None:
    work.model = "base"
    for arguments, model in (((), "base"), (("--model", "small"), "small")):
        work.counts = [StateCounts(pending=1)] * 2
        assert stt("transcribe", "talk.mp3", *arguments) == 0
        assert work.runs[-1].model == model


@pytest.mark.parametrize(
    ("model", "speakers", "message"),
    [
        ("huge", None, "No whisper server has model huge: name another with --server."),
        (None, 0, "No whisper server has speakers: start one with `whisper-server --speakers"),
    ],
)
def test_a_run_that_leaves_everything_for_want_of_a_server_ends_the_command(
    stt: Run, work: Work, model: str | None, speakers: int | None, message: str
) -> None:
    work.model, work.speakers = model, speakers
    work.counts = [StateCounts(pending=3)] * 9
    assert stt("transcribe", "talk.mp3") == 3
    assert message in " ".join(stt.err.split())
    assert len(work.runs) == 1


def test_a_server_of_this_machine_finds_speakers_if_a_recording_wants_them(
    stt: Run, work: Work
) -> None:
    work.counts = [StateCounts(pending=1)] * 2
    assert stt("transcribe", "talk.mp3") == 0
    assert work.with_speakers == [False, False]
    work.speakers, work.counts = 2, [StateCounts(pending=1)] * 2
    assert stt("transcribe", "talk.mp3", "--speakers", "2") == 0
    assert work.with_speakers[2:] == [True, True]


def test_what_is_left_of_early_work_gets_the_server_that_it_wants(
    stt: Run, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server that new recordings began with finds no speakers."""
    early = MagicMock(was_interrupted=False, finish=lambda _: set())
    early.return_value.__enter__.return_value = early
    monkeypatch.setattr("stt.cli.transcribe.EarlyWork", early)
    work.speakers, work.counts = 2, [StateCounts(pending=1)] * 2
    assert stt("transcribe", "talk.mp3") == 0
    assert work.with_speakers == [False, True]
    assert len(work.runs) == 1


def test_a_worker_runs_until_no_chunk_is_open_and_ignores_a_fleets_stop_settings(
    stt: Run, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_PERSISTENT", "1")
    monkeypatch.setenv("NODE_MAX_MINUTES", "1")
    work.counts = [StateCounts(pending=2), StateCounts(pending=2), StateCounts(pending=1)]
    assert stt("transcribe", "talk.mp3") == 0
    assert (work.servers, len(work.runs)) == (1, 2)
    assert not work.runs[0].persistent
    assert work.runs[0].max_minutes is None
    assert work.runs[0].required_empty_checks == 1


def test_chunks_that_other_workers_process_are_waited_for_and_said_once(
    stt: Run, work: Work
) -> None:
    work.counts = [StateCounts(processing=1)] * 4
    assert stt("transcribe", "talk.mp3") == 0
    assert work.runs == []
    assert stt.err.count("Waiting for 1 chunk that other workers process") == 1


def test_stale_claims_of_dead_workers_are_work_for_ours(stt: Run, work: Work) -> None:
    work.counts, work.stale = [StateCounts(processing=1)] * 2, 1
    assert stt("transcribe", "talk.mp3") == 0
    assert len(work.runs) == 1


def test_the_same_recording_twice_is_written_once(stt: Run, work: Work) -> None:
    assert stt("transcribe", "talk.mp3", "copies/talk.mp3") == 0
    assert work.write.call_args.args[1] == [("talk.mp3", TALK)]
    assert "copies/talk.mp3 is the same recording as talk.mp3." in stt.err


@pytest.mark.parametrize("where", [("-o", "out/"), ("--beside",)])
def test_each_file_of_the_same_recording_gets_its_transcript(
    stt: Run, work: Work, where: tuple[str, ...]
) -> None:
    assert stt("transcribe", "talk.mp3", "copies/talk.mp3", "talk.mp3", *where) == 0
    named = [("talk.mp3", TALK), ("copies/talk.mp3", TALK)]
    assert work.write.call_args.args[1] == named
    assert "the same recording" not in stt.err


def test_a_file_that_cannot_be_read_or_a_partial_transcript_is_exit_code_1(
    stt: Run, work: Work
) -> None:
    work.refused = {"bad.wav"}
    assert stt("transcribe", "bad.wav", "talk.mp3") == 1
    assert [name for name, _ in work.write.call_args.args[1]] == ["talk.mp3"]
    work.refused = set()
    work.write.return_value = ["talk.mp3"]
    assert stt("transcribe", "talk.mp3") == 1


def test_the_summary_counts_what_was_transcribed_now_and_names_what_failed(
    stt: Run, work: Work
) -> None:
    work.recording = replace(TALK, duration=90.0)
    work.refused = {"bad.wav"}
    assert stt("transcribe", "bad.wav", "talk.mp3") == 1
    assert " of audio in " not in stt.err  # there was nothing to transcribe
    work.counts = [StateCounts(pending=2)] * 2
    assert stt("transcribe", "bad.wav", "talk.mp3") == 1
    summary = stt.err.splitlines()[-1]
    assert summary.startswith("1 recording, 1m 30s of audio in 1s, ")
    assert summary.endswith(" × real time; 1 failed: bad.wav")
    work.counts = [StateCounts(pending=2)] * 2
    assert stt("transcribe", "talk.mp3", "--quiet") == 0
    assert stt.err == ""


def test_several_recordings_as_subtitles_need_a_folder(stt: Run, work: Work) -> None:
    assert stt("transcribe", "talk.mp3", "b.mp3", "--format", "srt") == 2
    assert "Several recordings need a folder: --output DIR/" in " ".join(stt.err.split())
    work.write.assert_not_called()
    assert stt("transcribe", "talk.mp3", "b.mp3", "--format", "srt", "-o", "subs") == 0
    assert work.write.call_args.args[2] == Output(formats=("srt",), folder=Path("subs"))


def test_one_recording_becomes_a_file_of_the_format_that_its_name_says(
    stt: Run, work: Work, tmp_path: Path
) -> None:
    assert stt("transcribe", "talk.mp3", "-o", "subs/talk.vtt") == 0
    assert work.write.call_args.args[2] == Output(formats=("vtt",), file=Path("subs/talk.vtt"))
    assert (tmp_path / "subs").is_dir()


def test_the_recordings_of_a_folder_are_counted_before_the_work(
    stt: Run, work: Work, tmp_path: Path
) -> None:
    for name in ("talk.mp3", "b.mp3"):
        (tmp_path / "talks").mkdir(exist_ok=True)
        (tmp_path / "talks" / name).touch()
    assert stt("transcribe", "talks", "-o", "all.srt") == 2
    (tmp_path / "talks" / "b.mp3").unlink()
    assert stt("transcribe", "talks", "-o", "all.srt") == 0


def test_a_recording_is_never_overwritten_by_its_transcript(
    stt: Run, work: Work, tmp_path: Path
) -> None:
    (tmp_path / "talk.txt").write_bytes(b"audio")
    assert stt("transcribe", "talk.txt", "-o", "./talk.txt") == 2
    assert "is the recording itself" in " ".join(stt.err.split())
    assert (tmp_path / "talk.txt").read_bytes() == b"audio"


def test_without_a_recording_there_is_nothing_to_do(
    stt: Run, no_database: Mock, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    assert stt("transcribe", "empty") == 1
    assert "Nothing to transcribe: no recordings found." in stt.err


def test_an_output_that_is_no_folder_is_refused_before_the_work(
    stt: Run, work: Work, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    assert stt("transcribe", "talk.mp3", "b.mp3", "--output", "file") == 2
    assert "Several recordings need a folder" in " ".join(stt.err.split())
    for output in ("file/", "file/talk.txt"):
        assert stt("transcribe", "talk.mp3", "--output", output) == 2
        assert "--output: the folder file cannot be made" in " ".join(stt.err.split())
    work.write.assert_not_called()


def test_an_unknown_language_is_refused_before_the_work(stt: Run) -> None:
    assert stt("transcribe", "talk.mp3", "--language", "klingon") == 2
    assert "'klingon' is not a language code (like en)" in " ".join(stt.err.split())


def test_an_unknown_format_is_refused_before_the_work(stt: Run) -> None:
    assert stt("transcribe", "talk.mp3", "--format", "docx") == 2
    assert "Unknown format 'docx'" in " ".join(stt.err.split())


def test_a_misspelled_model_is_refused_before_the_database_with_what_was_meant(stt: Run) -> None:
    Path("talk.mp3").touch()
    assert stt("transcribe", "talk.mp3", "--model", "large-v3-trubo") == 2
    assert "no model 'large-v3-trubo'. Did you mean large-v3-turbo" in " ".join(stt.err.split())


def test_a_model_of_servers_that_are_set_is_theirs_to_know(stt: Run, work: Work) -> None:
    assert stt("transcribe", "talk.mp3", "--server", "http://gpu:1", "--model", "my-own") == 0
    assert work.warn.call_args.args[0].server_urls == ("http://gpu:1",)


@pytest.mark.parametrize("command", ["transcribe", "ingest"])
def test_files_that_are_not_there_are_said_before_the_database(stt: Run, command: str) -> None:
    assert stt(command, "missing.mp3", "gone/x.wav") == 1
    assert stt.err == "Error: missing.mp3: no such file\nError: gone/x.wav: no such file\n"


def test_the_others_are_transcribed_all_the_same(stt: Run, work: Work) -> None:
    assert stt("transcribe", "missing.mp3", "talk.mp3") == 1
    assert stt.err.startswith("Error: missing.mp3: no such file\n")
    assert [name for name, _ in work.write.call_args.args[1]] == ["talk.mp3"]


def test_a_recording_in_place_of_a_command_is_transcribed(stt: Run, work: Work) -> None:
    assert stt("talk.mp3", "--output_format", "SRT", "--output_dir", "subs") == 0
    [files, output] = work.write.call_args.args[1:]
    assert files == [("talk.mp3", TALK)]
    assert output == Output(formats=("srt",), folder=Path("subs"))
    assert stt("statsu") == 2
    assert "Did you mean 'status'?" in " ".join(stt.err.split())


def test_standard_input_is_a_recording_and_nothing_of_it_is_left(
    stt: Run, work: Work, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copies = tmp_path / "temporary"
    copies.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(copies))
    monkeypatch.setattr("sys.stdin", Mock(buffer=io.BytesIO(b"sound"), isatty=lambda: False))
    assert stt("transcribe", "-") == 0
    [(name, _)] = work.write.call_args.args[1]
    assert name == "standard input"
    assert list(copies.iterdir()) == []
    assert stt("transcribe", "-", "--beside") == 2
    monkeypatch.setattr("sys.stdin", Mock(isatty=lambda: True))
    assert stt("transcribe", "-") == 2
    assert "pipe a file into it" in " ".join(stt.err.split())


def test_short_options_mean_the_same_in_every_command(stt: Run, work: Work) -> None:
    assert stt("-V") == 0
    assert stt.out.startswith("stt ")
    assert stt("transcribe", "talk.mp3", "copies/talk.mp3", "-l", "de", "-m", "base", "-q") == 0
    assert stt.err == ""
    assert stt("transcribe", "missing.mp3", "talk.mp3", "-q") == 1
    assert stt.err == "Error: missing.mp3: no such file\n"
    for command in ("ingest", "again", "transcribe"):
        assert stt(command, "--help") == 0
        assert {"-m", "-l"} <= {word.strip(",") for word in stt.out.split()}
