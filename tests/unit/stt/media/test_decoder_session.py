"""A session answers whatever it is asked, and whatever the file is."""

import io

import pytest

from stt.media.decoder_session import DecoderSession
from tests.support.damage import tones

OPTIONS = {"track": None, "channel": None, "strict": False, "filename": ""}


def test_a_file_is_opened_read_and_closed() -> None:
    session = DecoderSession()
    facts, _ = session.answer({"do": "open", "options": OPTIONS}, io.BytesIO(tones("wav")))
    assert (facts["format"], facts["track_seconds"], session.is_open) == ("wav", 2.0, True)
    fields, data = session.answer({"do": "block"})
    assert (fields, len(data) % 2) == ({"warnings": []}, 0)
    while not session.answer({"do": "block"})[0].get("is_end"):
        pass
    assert session.decoded_seconds == pytest.approx(2.0)
    assert session.answer({"do": "close"}) == ({}, b"")
    assert not session.is_open


def test_packets_come_many_at_a_time() -> None:
    session = DecoderSession()
    session.answer({"do": "open", "options": OPTIONS}, io.BytesIO(tones("mp3")))
    seconds = session.answer({"do": "packets"})[0]["seconds"]
    assert len(seconds) > 50
    assert session.answer({"do": "packets"})[0]["seconds"] == []


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"do": "block"}, "ValueError"),
        ({"do": "packets"}, "ValueError"),
        ({"do": "sing"}, "ValueError"),
        ({"do": "open", "options": OPTIONS}, "BadAudio"),
        ({"do": "open", "options": {"key": "?"}}, "TypeError"),
    ],
)
def test_what_cannot_be_done_is_an_answer(request_: dict[str, object], error: str) -> None:
    session = DecoderSession()
    file = io.BytesIO(b"no audio at all " * 99)
    assert session.answer(request_, file)[0]["error"] == error
    assert not session.is_open


def test_an_error_of_the_disk_keeps_its_number() -> None:
    class Broken(io.BytesIO):
        def read(self, _: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    fields, _ = DecoderSession().answer({"do": "probe"}, Broken(tones("wav")))
    assert fields == {"error": "OSError", "errno": 5, "text": "Input/output error"}


def test_a_lack_of_memory_is_an_answer() -> None:
    class Large(io.BytesIO):
        def seek(self, *_: int) -> int:
            raise MemoryError

    assert DecoderSession().answer({"do": "probe"}, Large())[0] == {"error": "MemoryError"}
