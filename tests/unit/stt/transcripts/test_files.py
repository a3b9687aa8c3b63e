"""Names of transcript files, and files that are written whole or not at all."""

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from bson import ObjectId
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stt.domain.chunk import Recording
from stt.domain.visible_text import is_visible
from stt.errors import SttError
from stt.store.export import FORMATS
from stt.transcripts.files import file_stems, save

_HEX = "6903ce2e3006e94c81d59b3"


_NASTY = [
    *("../../x", "/etc/x", "..\\..\\x", "C:\\x", "C:x", "\\\\host\\share\\x", "..", ".", "", "~"),
    *("CON", "con.mp3", "nul.tar.gz", "aux ", "x" * 300, "ü" * 300, "x\x00y", "x\ny", "x\x1b[31m"),
    *("x\u200fy", "x\u061cy", "x\u200by", "x\u2066y", "x\u3164y", "x\u200dy"),
    *("x\x9b2J", "x\u202e3pm.exe", "\udcff.mp3", "-rf", "talk.mp3", "TALK.wav", f"talk_{_HEX}0"),
    *("café", "cafe\u0301", "straße", "STRASSE", " talk", "talk.", "a/b/c", "a\\", "/"),
]


_filenames = st.lists(
    st.one_of(
        st.sampled_from(_NASTY),
        st.text(st.sampled_from("./\\~:aAéß\u0301\x00\n\x1b\u202e "), max_size=12),
        st.text(st.characters(), max_size=300),
    ),
    max_size=12,
)


@given(_filenames, st.sampled_from(FORMATS))
@example(_NASTY, "txt")
@example(["talk.mp3", "Talk.wav", f"talk_{_HEX}0", f"talk_{_HEX}1.ogg"], "srt")
@settings(deadline=None)
def test_every_source_gets_one_file_of_its_own_inside_the_folder(
    filenames: list[str], format_name: str
) -> None:
    recordings = [
        Recording(ObjectId(f"{_HEX}{index:x}"[-24:].rjust(24, "0")), filename=filename)
        for index, filename in enumerate(filenames)
    ]
    names = [f"{stem}.{format_name}" for stem in file_stems(recordings)]
    folder = "/export/folder"
    for name in names:
        assert os.path.dirname(os.path.normpath(f"{folder}/{name}")) == folder  # noqa: PTH120
        assert len(name.encode()) <= 255
        assert not set(name) & set('/\\:<>"|?*\0\n\x1b\x9b\u202e')
        assert is_visible(name)
        assert not name.startswith((".", "~/")), "hidden"
        assert name.partition(".")[0].casefold() not in {"con", "nul", "aux", "prn"}
    as_one = [unicodedata.normalize("NFC", n).casefold() for n in names]
    assert len(set(as_one)) == len(recordings)


def recording(number: int, path: str, folder: str | None = None) -> Recording:
    filename = path.rpartition("/")[2]
    return Recording(ObjectId(f"{_HEX}{number:x}"), filename, path=path, folder=folder)


def test_the_structure_of_the_folder_that_was_given_is_kept() -> None:
    stems = file_stems([recording(0, "A/ep01.wav"), recording(1, "B/ep01.wav")])
    assert stems == ["A/ep01", "B/ep01"]


def test_a_path_that_is_taken_gets_the_folders_name_and_then_the_id() -> None:
    first, second = recording(0, "ep01.wav", "season1"), recording(1, "ep01.mp3", "season2")
    third = recording(2, "EP01.wav", "season2")
    named = file_stems([first, second, third])
    assert named == ["ep01", "season2/ep01", f"EP01_{third.id}"]
    assert file_stems([first, second]) == named[:2], "those behind it change nothing"
    assert file_stems([first, second, first]) == ["ep01", "season2/ep01", "ep01"]


def test_a_recording_with_a_transcripts_extension_is_not_replaced_by_its_transcript() -> None:
    stems = file_stems(
        [recording(0, "notes.txt"), recording(1, "notes.wav"), recording(2, "a.JSON")]
    )
    assert stems == ["notes.txt", "notes", "a.JSON"]


@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("../../x.wav", "folder/folder/x"),
        ("/etc/x.wav", "folder/etc/x"),
        ("CON/a:b/x.wav", "CON_folder/a_b/x"),
        ("a\\b/x.wav", "a_b/x"),
        (". ./x.wav", "folder/x"),
        ("talk.txt/x.SRT/x.wav", "talk.txt_/x.SRT_/x"),
        ("txt/x.wav", "txt/x"),
    ],
)
def test_a_path_of_another_program_stays_inside_the_folder(path: str, stem: str) -> None:
    assert file_stems([recording(0, path)]) == [stem]


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "talk.txt"
    save(["good ", "morning"], path)
    assert path.read_text() == "good morning"

    def breaks() -> Iterator[str]:
        yield "half"
        raise SttError("the database is away")

    with pytest.raises(SttError, match="away"):
        save(breaks(), path)
    assert path.read_text() == "good morning"
    assert [file.name for file in path.parent.iterdir()] == ["talk.txt"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    link, target = tmp_path / "link.txt", tmp_path / "target.txt"
    target.write_text("old")
    link.symlink_to(target)
    save(["new"], link)
    assert link.is_symlink()
    assert target.read_text() == "new"


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Return a folder that every user of the machine can write to."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


@pytest.mark.parametrize("is_named", [True, False], ids=["named file", "below a named folder"])
def test_a_planted_link_is_replaced(tmp_path: Path, shared: Path, is_named: bool) -> None:
    mine, link = tmp_path / "mine.txt", shared / "talk.txt"
    mine.write_text("precious")
    link.symlink_to(mine)
    save(["transcript"], link, None if is_named else shared)
    assert mine.read_text() == "precious"
    assert not link.is_symlink()
    assert link.read_text() == "transcript"


def test_a_planted_link_to_what_is_not_there_makes_nothing_there(
    tmp_path: Path, shared: Path
) -> None:
    (shared / "talk.txt").symlink_to(tmp_path / "new.txt")
    save(["transcript"], shared / "talk.txt")
    assert not (tmp_path / "new.txt").exists()


def test_a_planted_link_to_a_device_is_replaced(shared: Path) -> None:
    (shared / "talk.txt").symlink_to(os.devnull)
    save(["transcript"], shared / "talk.txt")
    assert (shared / "talk.txt").read_text() == "transcript"


def test_a_planted_link_to_a_folder_is_refused_below_the_folder_that_was_named(
    tmp_path: Path, shared: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (shared / "A").symlink_to(mine)
    with pytest.raises(SttError, match=r"^Cannot write .*A is a link that another user may"):
        save(["transcript"], shared / "A" / "talk.txt", shared)
    assert not list(mine.iterdir())
    save(["transcript"], shared / "A" / "talk.txt", shared / "A")
    assert (mine / "talk.txt").read_text() == "transcript", "the link itself was named"


def test_an_own_link_to_a_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    (tmp_path / "A").symlink_to("archive")
    save(["transcript"], tmp_path / "A" / "talk.txt", tmp_path)
    assert (tmp_path / "archive" / "talk.txt").read_text() == "transcript"


def test_a_pipe_that_was_named_is_written_and_one_that_was_not_is_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "talk.txt"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        save(["to the reader"], pipe)
        assert os.read(reader, 100) == b"to the reader"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    save(["to the file"], pipe, tmp_path)
    assert pipe.read_text() == "to the file"


def test_a_file_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SttError, match=r"^Cannot write .*file/talk\.txt: \w"):
        save(["text"], tmp_path / "file" / "talk.txt")
