"""What FFmpeg may open, and how much memory it may take for it."""

import contextlib
import io

import av
import pytest

from stt.errors import BadAudio
from stt.media.container import MAX_STREAMS, open_container
from stt.media.window import FileWindow
from tests.support.damage import tones


def test_a_container_is_opened_from_the_start_of_its_window() -> None:
    file = io.BytesIO(b"junk" + tones("wav"))
    window = FileWindow(file, 4)
    window.seek(1_000)
    with open_container(window) as container:
        assert container.format.name == "wav"


@pytest.mark.parametrize("data", [b"", b"no audio at all " * 99, bytes(5_000)])
def test_what_ffmpeg_cannot_open_is_refused(data: bytes) -> None:
    with pytest.raises(BadAudio, match="not in a known format"):
        open_container(FileWindow(io.BytesIO(data)))


def test_the_beginning_of_an_mp4_whose_index_is_at_its_end_says_so() -> None:
    whole = tones("mp4")
    assert whole.index(b"mdat") < whole.index(b"moov")
    with pytest.raises(BadAudio, match=r"truncated or damaged: its index \(moov\) is missing"):
        open_container(FileWindow(io.BytesIO(whole[: len(whole) * 7 // 10])))


def test_a_damaged_file_that_sends_ffmpeg_before_its_start_is_no_error_of_the_disk() -> None:
    data = tones("caf")
    chunk_of_negative_size = b"junk" + (-1_000_000).to_bytes(8, "big", signed=True)
    with contextlib.suppress(BadAudio):
        open_container(FileWindow(io.BytesIO(data + chunk_of_negative_size))).close()


def with_streams(count: int) -> FileWindow:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        streams = [output.add_stream("pcm_s16le", rate=8_000, layout="mono") for _ in range(count)]
        output.start_encoding()
        packet = av.Packet(bytes(160))
        packet.stream, packet.pts, packet.dts = streams[0], 0, 0
        output.mux(packet)
    return FileWindow(file)


@pytest.mark.parametrize(("count", "opened"), [(100, 100), (1_000, MAX_STREAMS)])
def test_of_very_many_streams_which_would_take_750_megabytes_the_first_are_opened(
    count: int, opened: int
) -> None:
    with open_container(with_streams(count)) as container:
        assert len(container.streams) == opened
