"""Transcripts of a watched folder: each once, beside its recording, over no other file."""

from collections.abc import Callable
from pathlib import Path

import pytest
from bson import ObjectId

from stt.errors import NotFound, SttError
from stt.store.database import Database
from stt.watch.state import FileVersion, KnownFile, WatchState
from stt.watch.texts import TextOutput, Texts
from tests.support.recordings_in_queue import post_recording, set_chunk, transcribe

AddFile = Callable[..., KnownFile]


@pytest.fixture
def texts(folder: Path, state: WatchState, database: Database) -> Texts:
    return Texts(folder, state, database, TextOutput())


@pytest.fixture
def add(folder: Path, state: WatchState, database: Database) -> AddFile:
    """Add a file of a recording that is transcribed."""

    def add(name: str, *words: str, recording: ObjectId | None = None) -> KnownFile:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
        if recording is None:
            recording = ObjectId(post_recording(database, 1, filename=path.name))
            transcribe(database, str(recording), 0, *words)
        version = FileVersion.of(path)
        assert version
        file = KnownFile(path, version, recording)
        state.save(file)
        return file

    return add


def known(state: WatchState, file: KnownFile) -> KnownFile:
    found = state.file(file.path)
    assert found is not None
    return found


def content(folder: Path) -> dict[str, str]:
    return {str(one.relative_to(folder)): one.read_text() for one in folder.rglob("*.txt")}


def test_a_transcript_lies_beside_its_recording(
    texts: Texts, state: WatchState, folder: Path, add: AddFile
) -> None:
    file = add("sub/talk.mp3", "Hello.")
    assert texts.write(file)
    assert content(folder) == {"sub/talk.txt": "Hello.\n"}
    assert known(state, file).is_written


def test_formats_and_a_folder_can_be_chosen(
    state: WatchState, folder: Path, database: Database, add: AddFile, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    Texts(folder, state, database, TextOutput(("txt", "srt"), out)).write(add("sub/a.wav", "Hi."))
    assert sorted(str(one.relative_to(out)) for one in out.rglob("*.*")) == [
        "sub/a.srt",
        "sub/a.txt",
    ]
    assert content(folder) == {}


def test_recordings_of_one_name_have_a_transcript_each(
    texts: Texts, folder: Path, add: AddFile
) -> None:
    texts.write(add("talk.mp3", "One."))
    texts.write(add("talk.wav", "Two."))
    assert content(folder) == {"talk.txt": "One.\n", "talk.wav.txt": "Two.\n"}


def test_silent_recordings_of_one_name_have_a_transcript_each(
    texts: Texts, folder: Path, add: AddFile
) -> None:
    texts.write(add("talk.mp3"))
    texts.write(add("talk.wav"))
    assert content(folder) == {"talk.txt": "", "talk.wav.txt": ""}


def test_a_file_that_a_person_wrote_stays(texts: Texts, folder: Path, add: AddFile) -> None:
    (folder / "talk.txt").write_text("My notes")
    (folder / "talk.mp3.txt").mkdir()
    file = add("talk.mp3", "Hello.")
    texts.write(file)
    assert (folder / "talk.txt").read_text() == "My notes"
    assert (folder / f"talk.mp3_{file.recording}.txt").read_text() == "Hello.\n"


def test_a_transcript_that_is_there_already_is_taken_over(
    texts: Texts, folder: Path, add: AddFile
) -> None:
    (folder / "talk.txt").write_text("Hello.\n")
    texts.write(add("talk.mp3", "Hello."))
    assert content(folder) == {"talk.txt": "Hello.\n"}


def test_it_follows_a_text_that_is_made_again_unless_a_person_edited_it(
    texts: Texts, state: WatchState, folder: Path, database: Database, add: AddFile
) -> None:
    file = add("talk.mp3", "Hello.")
    texts.write(file)
    transcribe(database, str(file.recording), 0, "Hello again.")
    texts.write(known(state, file))
    assert content(folder) == {"talk.txt": "Hello again.\n"}
    (folder / "talk.txt").write_text("Hello, corrected.")
    transcribe(database, str(file.recording), 0, "Hello once more.")
    texts.write(known(state, file))
    assert content(folder) == {
        "talk.txt": "Hello, corrected.",
        "talk.mp3.txt": "Hello once more.\n",
    }


def test_a_name_is_kept_when_another_recording_of_that_name_comes(
    texts: Texts, state: WatchState, folder: Path, database: Database, add: AddFile
) -> None:
    file = add("talk.mp3", "One.")
    texts.write(file)
    texts.write(add("talk.wav", "Two."))
    transcribe(database, str(file.recording), 0, "One again.")
    texts.write(known(state, file))
    assert content(folder) == {"talk.txt": "One again.\n", "talk.wav.txt": "Two.\n"}


def test_other_content_under_the_same_name_replaces_the_transcript(
    texts: Texts, folder: Path, add: AddFile
) -> None:
    texts.write(add("latest.wav", "Monday."))
    texts.write(add("latest.wav", "Tuesday."))
    assert content(folder) == {"latest.txt": "Tuesday.\n"}


@pytest.mark.parametrize("is_replaced", [False, True], ids=["before", "after"])
def test_a_process_that_ended_while_it_wrote_is_made_good(
    texts: Texts,
    folder: Path,
    database: Database,
    add: AddFile,
    monkeypatch: pytest.MonkeyPatch,
    state: WatchState,
    is_replaced: bool,
) -> None:
    file = add("talk.mp3", "Hello.")
    texts.write(file)
    transcribe(database, str(file.recording), 0, "Hello again.")

    def die(pieces: list[str], path: Path, _folder: Path) -> None:
        if is_replaced:
            path.write_text("".join(pieces))
        raise KeyboardInterrupt

    monkeypatch.setattr("stt.watch.texts.save", die)
    with pytest.raises(KeyboardInterrupt):
        texts.write(known(state, file))
    monkeypatch.undo()
    texts.write(known(state, file))
    assert content(folder) == {"talk.txt": "Hello again.\n"}


def test_a_transcript_follows_its_recording_to_another_name(
    texts: Texts, folder: Path, add: AddFile
) -> None:
    file = add("talk.mp3", "Hello.")
    texts.write(file)
    file.path.unlink()
    texts.write(add("sub/lecture.mp3", recording=file.recording))
    assert content(folder) == {"sub/lecture.txt": "Hello.\n"}


def test_neither_an_edited_transcript_nor_that_of_a_copy_is_removed(
    texts: Texts, folder: Path, add: AddFile
) -> None:
    file = add("talk.mp3", "Hello.")
    texts.write(file)
    texts.write(add("copy.mp3", recording=file.recording))
    file.path.unlink()
    (folder / "talk.txt").write_text("Edited")
    texts.write(add("third.mp3", recording=file.recording))
    assert content(folder) == {
        "talk.txt": "Edited",
        "copy.txt": "Hello.\n",
        "third.txt": "Hello.\n",
    }


def test_files_of_formats_that_are_written_no_more_stay(
    folder: Path, state: WatchState, database: Database, add: AddFile
) -> None:
    file = add("talk.mp3", "Hello.")
    Texts(folder, state, database, TextOutput(("srt",))).write(file)
    file.path.unlink()
    Texts(folder, state, database, TextOutput()).write(add("a.mp3", recording=file.recording))
    assert (folder / "talk.srt").exists()


def test_a_partial_transcript_is_marked_and_said(
    texts: Texts, folder: Path, database: Database, add: AddFile, caplog: pytest.LogCaptureFixture
) -> None:
    recording = post_recording(database, 2)
    transcribe(database, recording, 0, "Hello.")
    set_chunk(database, recording, 1, failed_at="now")
    texts.write(add("talk.mp3", recording=ObjectId(recording)))
    assert "[not transcribed:" in (folder / "talk.txt").read_text()
    assert "talk.mp3" in caplog.text


def test_a_recording_that_is_still_cut_is_waited_for(
    texts: Texts, folder: Path, database: Database, add: AddFile
) -> None:
    recording = post_recording(database, 1, ingested_at=None, chunk_count=None)
    transcribe(database, recording, 0, "Hello.")
    assert not texts.write(add("talk.mp3", recording=ObjectId(recording)))
    assert content(folder) == {}


def test_without_formats_nothing_is_written(
    folder: Path, state: WatchState, database: Database, add: AddFile
) -> None:
    file = add("talk.mp3", "Hello.")
    assert Texts(folder, state, database, TextOutput(())).write(file)
    assert content(folder) == {}
    assert known(state, file).is_written


def test_what_cannot_be_done_is_an_error(
    folder: Path, texts: Texts, state: WatchState, database: Database, add: AddFile, tmp_path: Path
) -> None:
    with pytest.raises(NotFound):
        texts.write(add("talk.mp3", recording=ObjectId()))
    (tmp_path / "file").touch()
    output = TextOutput(folder=tmp_path / "file" / "out")
    with pytest.raises(SttError, match="Cannot write"):
        Texts(folder, state, database, output).write(add("a.mp3", "Hello."))


def test_the_longest_names_have_transcripts(
    state: WatchState, folder: Path, database: Database, add: AddFile
) -> None:
    texts = Texts(folder, state, database, TextOutput(("json",)))
    names = [f"{'a' * 251}.m4a", f"{'a' * 251}.mp3", f"{'ö' * 125}b.m4a"]
    assert all(texts.write(add(name, "Hello.")) for name in names)
    assert len(list(folder.glob("*.json"))) == len(names)
