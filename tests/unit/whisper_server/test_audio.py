"""Uploads → samples, with files written for the purpose."""

import io

import av
import numpy as np
import pytest

from whisper_server.audio import decode
from whisper_server.errors import EngineStopped, InvalidAudio, TooLarge


def recording(
    seconds: float, container: str = "wav", codec: str = "pcm_s16le", rate: int = 16_000
) -> io.BytesIO:
    """A 440 Hz tone at half of full scale."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        clock = np.arange(int(seconds * rate)) / rate
        tone = (np.sin(2 * np.pi * 440 * clock) * 16384).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(tone.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    file.seek(0)
    return file


def video() -> io.BytesIO:
    """A picture without sound."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream = output.add_stream("mpeg4", rate=5)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 32
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        for packet in [*stream.encode(picture), *stream.encode(None)]:
            output.mux(packet)
    file.seek(0)
    return file


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [
        ("wav", "pcm_s16le", 16_000),
        ("wav", "pcm_s16le", 44_100),
        ("flac", "flac", 48_000),
        ("ogg", "libopus", 48_000),
        ("webm", "libopus", 48_000),
        ("mp3", "libmp3lame", 22_050),
        ("mp4", "aac", 44_100),
    ],
)
def test_every_usual_form_becomes_mono_floats_of_16_khz(
    container: str, codec: str, rate: int
) -> None:
    try:
        file = recording(2.0, container, codec, rate)
    except (av.FFmpegError, ValueError):
        pytest.skip(f"this PyAV writes no {container}/{codec}")
    samples = decode([file], limit_seconds=60)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert len(samples) / 16_000 == pytest.approx(2.0, abs=0.1)
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(0.5 / np.sqrt(2), abs=0.05)


def test_several_files_follow_each_other() -> None:
    samples = decode([recording(1.0), recording(0.5, rate=48_000)], limit_seconds=60)
    assert len(samples) / 16_000 == pytest.approx(1.5, abs=0.02)


def test_an_empty_file_is_called_empty() -> None:
    with pytest.raises(InvalidAudio, match="empty") as caught:
        decode([io.BytesIO()], limit_seconds=60)
    assert (caught.value.code, caught.value.param) == ("empty_file", "file")


def test_the_broken_one_of_several_files_is_named() -> None:
    with pytest.raises(InvalidAudio, match="File 2 of 2") as caught:
        decode([recording(1), io.BytesIO(b"no audio at all " * 99)], 60, param="files")
    assert caught.value.param == "files"


def test_a_film_without_sound_has_no_audio_track() -> None:
    with pytest.raises(InvalidAudio, match="no audio track"):
        decode([video()], limit_seconds=60)


def test_a_header_without_samples_is_no_audio() -> None:
    with pytest.raises(InvalidAudio):
        decode([io.BytesIO(recording(1).getvalue()[:44])], limit_seconds=60)


def test_decoding_ends_at_the_limit_not_at_the_end_of_the_file() -> None:
    with pytest.raises(TooLarge, match="longer than the 2 seconds") as caught:
        decode([recording(30.0)], limit_seconds=2)
    assert caught.value.code == "audio_too_long"


def test_decoding_ends_when_nobody_waits_for_it() -> None:
    with pytest.raises(EngineStopped):
        decode([recording(1.0)], limit_seconds=60, should_stop=lambda: True)


def test_the_limit_counts_all_files_together() -> None:
    with pytest.raises(TooLarge):
        decode([recording(1.5), recording(1.5)], limit_seconds=2)


def test_a_sample_rate_that_would_fill_the_memory_is_refused() -> None:
    header = bytearray(recording(1).getvalue())
    header[24:28] = (1).to_bytes(4, "little")
    with pytest.raises(InvalidAudio):
        decode([io.BytesIO(bytes(header))], limit_seconds=1e6)


@pytest.mark.parametrize("address", ["/etc/hostname", "file:///etc/hostname", "http://127.0.0.1"])
def test_a_playlist_opens_nothing_else(address: str) -> None:
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{address}\n#EXT-X-ENDLIST\n"
    with pytest.raises(InvalidAudio):
        decode([io.BytesIO(playlist.encode())], limit_seconds=60)
