"""A form that comes in pieces of any size gives the same events."""

import pytest

from stt.coordinator.errors import BadRequest, TooLarge
from stt.coordinator.uploads.multipart import Event, Field, FileEnd, FileStart, MultipartStream
from stt.media.recording import shown_name

KIND = "multipart/form-data; boundary=frontier"
FILE = b"RIFF\r\n--frontie\r\r\n-\x00\xff"
FORM = (
    b'--frontier\r\nContent-Disposition: form-data; name="language"\r\n\r\nde\r\n'
    b'--frontier\r\nContent-Disposition: form-data; name="f"; filename="a%22b.wav"\r\n'
    b"Content-Type: audio/wav\r\n\r\n" + FILE + b"\r\n"
    b'--frontier\r\nContent-Disposition: form-data; name="f"; filename=""\r\n\r\n\r\n'
    b"--frontier--\r\n"
)


def events_of(form: MultipartStream, body: bytes, size: int) -> list[Event]:
    """Return the events, with the data of a file joined."""
    events: list[Event] = []
    for at in range(0, len(body), size):
        for event in form.feed(body[at : at + size]):
            last = events[-1] if events else None
            if isinstance(event, bytes) and isinstance(last, bytes):
                events[-1] = last + event
            else:
                events.append(event)
    return events


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_what_it_says_does_not_depend_on_where_it_is_cut(size: int) -> None:
    form = MultipartStream(KIND)
    assert events_of(form, FORM, size) == [
        Field("language", "de"),
        FileStart('a"b.wav'),
        FILE,
        FileEnd(),
    ]
    assert form.is_whole


def test_a_form_without_its_end_is_not_whole() -> None:
    form = MultipartStream(KIND)
    events_of(form, FORM[:-20], 1000)
    assert not form.is_whole


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "multipart/form-data", "multipart/form-data; boundary=" + "x" * 500],
    ids=["none", "text", "no boundary", "huge boundary"],
)
def test_another_kind_of_body_is_refused(kind: str) -> None:
    with pytest.raises(BadRequest):
        MultipartStream(kind)


def test_fields_without_number_are_refused() -> None:
    field = b'--frontier\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'
    with pytest.raises(TooLarge):
        MultipartStream(KIND).feed(field * 51)


def test_a_header_without_end_is_refused() -> None:
    with pytest.raises(BadRequest):
        MultipartStream(KIND).feed(b"--frontier\r\nContent-Disposition: " + b"x" * 20_000)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("talk.mp3", "talk.mp3"),
        ("../../etc/passwd", "../../etc/passwd"),
        ("\u202etalk\u202c.mp3", "\u202etalk\u202c.mp3"),
        ("a\nb\x00c\ud800.mp3", "a\ufffdb\ufffdc\ufffd.mp3"),
        ("x" * 501, "x" * 499 + "…"),
        ("  ", "(no name)"),
    ],
    ids=["plain", "path", "direction", "control", "long", "blank"],
)
def test_a_name_is_shown_as_text(name: str, shown: str) -> None:
    assert shown_name(name) == shown
