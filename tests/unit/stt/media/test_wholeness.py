"""A file that ends before its end is recognised, in every container that says its length."""

import io

import pytest

from stt.media.audio import AudioReader
from stt.media.wholeness import clock
from tests.support.damage import FORMS, tones

WITHOUT_A_LENGTH = {"adts", "mpegts", "ac3", "wv"}


def warnings(data: bytes) -> list[str]:
    with AudioReader(io.BytesIO(data)) as reader:
        for _ in reader.blocks():
            pass
    return reader.warnings


@pytest.mark.parametrize("container", FORMS)
def test_a_whole_file_has_no_warning(container: str) -> None:
    assert warnings(tones(container, seconds=6)) == []


@pytest.mark.parametrize("container", sorted(set(FORMS) - WITHOUT_A_LENGTH))
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_truncated_file_is_recognised(container: str, share: float) -> None:
    flags = {"movflags": "faststart"} if container == "mp4" else {}
    data = tones(container, seconds=20, flags=flags)
    (warning,) = warnings(data[: int(len(data) * share)])
    assert warning.startswith("truncated: it ")


@pytest.mark.parametrize("container", ["mpegts", "adts"])
def test_a_stream_without_a_length_is_whole_wherever_it_ends(container: str) -> None:
    data = tones(container, seconds=6)
    assert not [line for line in warnings(data[: len(data) // 2]) if "truncated" in line]


@pytest.mark.parametrize(
    ("container", "flags"), [("wav", {}), ("wav", {"rf64": "always"}), ("w64", {}), ("au", {})]
)
def test_the_seconds_that_are_missing_are_said(container: str, flags: dict[str, str]) -> None:
    data = tones(container, seconds=10, flags=flags)
    assert warnings(data) == []
    assert warnings(data[: len(data) * 7 // 10 + 24]) == [
        "truncated: it breaks off after 0:00:07.0; about 3.0 s are missing"
    ]


@pytest.mark.parametrize(("container", "first", "last"), [("au", 8, 12), ("w64", 16, 24)])
def test_a_length_that_its_writer_did_not_know_is_none(
    container: str, first: int, last: int
) -> None:
    data = bytearray(tones(container))
    data[first:last] = b"\xff" * (last - first)
    assert warnings(bytes(data)) == []


def test_an_ogg_file_that_ends_in_zeros_is_recognised() -> None:
    data = tones("ogg", seconds=20)
    for zeros in (2_000, 200_000):
        (warning,) = warnings(data + bytes(zeros))
        assert warning == "damaged: it cannot be read past 0:00:20.0"


def test_a_frame_count_says_nothing_about_an_mp3_that_another_was_joined_to() -> None:
    one = tones("mp3", seconds=4)
    assert warnings(one + tones("mp3", seconds=4, rate=24_000)) == []
    (warning,) = warnings(one[: len(one) // 2])
    assert warning.startswith("truncated: it ends after 0:00:0")


def test_a_wav_header_that_cannot_know_its_length_is_no_reason_for_a_warning() -> None:
    data = bytearray(tones("wav"))
    data[4:8] = b"\xff\xff\xff\xff"
    assert warnings(bytes(data)) == []


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00:00.0"), (75.26, "0:01:15.3"), (3_723.4, "1:02:03.4")]
)
def test_a_time_is_hours_minutes_and_seconds(seconds: float, text: str) -> None:
    assert clock(seconds) == text
