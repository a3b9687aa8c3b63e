"""Zip files that are written while their contents are made."""

import io
import zipfile
from collections.abc import Iterator

from stt.transcripts.zip_stream import zip_stream


def test_names_in_all_scripts_and_texts_come_out_as_they_went_in() -> None:
    files = [
        ("talks/café 会議.srt", "1\nHéllo\n"),
        ("empty.txt", ""),
        ("long.txt", "a word " * 10**5),
    ]
    with zipfile.ZipFile(io.BytesIO(b"".join(zip_stream(files)))) as archive:
        assert archive.testzip() is None
        assert [(i.filename, archive.read(i).decode()) for i in archive.infolist()] == files


def test_it_is_sent_while_later_texts_are_still_being_made() -> None:
    made: list[int] = []

    def texts() -> Iterator[tuple[str, str]]:
        for number in range(40):
            made.append(number)
            yield f"{number}.txt", " ".join(str(n * (number + 7919)) for n in range(10_000))

    blocks = zip_stream(texts())
    assert next(blocks)
    assert len(made) == 1
    assert next(blocks)
    assert len(made) < 40
    b"".join(blocks)
    assert len(made) == 40


def test_none_at_all_make_an_empty_file() -> None:
    assert zipfile.ZipFile(io.BytesIO(b"".join(zip_stream([])))).namelist() == []
