"""What comes out of an uploaded file, and what is refused, with files written for the purpose."""

import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from tests.support.uploads import decode, film_without_sound, tone_file, wav_that_claims
from whisper_server import audio
from whisper_server.errors import InvalidAudio


@pytest.mark.parametrize(
    ("container", "codec", "rate", "channels"),
    [
        ("wav", "pcm_s16le", 16_000, 1),
        ("wav", "pcm_s16le", 44_100, 2),
        ("wav", "pcm_f32le", 192_000, 8),
        ("flac", "flac", 48_000, 1),
        ("ogg", "libopus", 48_000, 1),
        ("webm", "libopus", 48_000, 2),
        ("mp3", "libmp3lame", 22_050, 1),
        ("mp4", "aac", 44_100, 2),
    ],
)
def test_every_usual_form_becomes_mono_floats_of_16_khz(
    container: str, codec: str, rate: int, channels: int
) -> None:
    samples = decode(tone_file(2.0, container, codec, rate, channels))
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert len(samples) / 16_000 == pytest.approx(2.0, abs=0.1)
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(0.5 / np.sqrt(2), abs=0.05)


def test_a_track_may_change_its_form_midway() -> None:
    changing = io.BytesIO()
    for rate, channels in [(22_050, 1), (44_100, 2), (48_000, 1)]:
        changing.write(tone_file(1.0, "mp3", "libmp3lame", rate, channels).getvalue())
    assert len(decode(changing)) / 16_000 == pytest.approx(3.0, abs=0.2)


def test_both_sides_of_a_loud_stereo_file_are_mixed_without_clipping() -> None:
    samples = decode(tone_file(1.0, channels=2, level=0.99))
    assert np.abs(samples).max() == pytest.approx(0.99, abs=0.01)


def test_a_film_without_sound_has_no_audio_track() -> None:
    with pytest.raises(InvalidAudio, match="no audio track"):
        decode(film_without_sound())


def test_a_header_without_samples_is_no_audio() -> None:
    with pytest.raises(InvalidAudio):
        decode(io.BytesIO(tone_file(1).getvalue()[:44]))


def test_a_wav_out_of_a_pipe_is_as_long_as_it_is() -> None:
    assert len(decode(io.BytesIO(wav_that_claims()))) == 32_000


@pytest.mark.parametrize("rate", [0, 1, 999, 2_000_000, 2_000_000_000])
def test_a_sample_rate_that_would_fill_the_memory_is_refused(rate: int) -> None:
    with pytest.raises(InvalidAudio):
        decode(io.BytesIO(wav_that_claims(rate)), limit_seconds=1e6)


def test_what_is_no_number_is_silence_and_what_is_too_loud_is_clipped() -> None:
    data = np.array([np.nan, np.inf, -np.inf, 1e30, 0.25] * 5_000, "<f4").tobytes()
    samples = decode(io.BytesIO(wav_that_claims(bits=32, data=data, form=3)))
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1


def test_broken_packets_between_good_ones_are_left_out() -> None:
    data = bytearray(tone_file(4, "flac", "flac").getvalue())
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(200)
    assert len(decode(io.BytesIO(data))) / 16_000 == pytest.approx(4, abs=0.6)


def test_a_file_with_more_broken_packets_than_good_ones_is_refused() -> None:
    data = bytearray(tone_file(4, "mp4", "aac", 44_100).getvalue())
    start, end = len(data) // 10, len(data) * 8 // 10
    data[start:end] = np.random.default_rng(0).bytes(end - start)
    with pytest.raises(InvalidAudio, match="cannot be decoded"):
        decode(io.BytesIO(data))


def test_packets_without_any_sound_are_not_read_to_their_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = bytearray(tone_file(9, "mp4", "aac", 44_100).getvalue())
    for place in range(100, len(data) - 5_000, 9):
        data[place] ^= 0xFF
    monkeypatch.setattr(audio, "MAX_UNHEARD_PACKETS", 3)
    with pytest.raises(InvalidAudio) as caught:
        decode(io.BytesIO(data))
    assert "packets without sound" in str(caught.value.__cause__)


def test_another_track_that_turns_up_midway_does_not_spoil_the_first() -> None:
    """A stand-in: PyAV fails so only where the memory behind one of its arrays is not zero."""

    class Container:
        streams = SimpleNamespace(audio=["track"])

        def demux(self, track: str) -> Iterator[str]:
            yield f"packet of the {track}"
            raise IndexError("list index out of range")

    found: list[Any] = list(audio._packets(cast(Any, Container())))
    assert found == ["packet of the track"]


@pytest.mark.parametrize("address", ["/etc/hostname", "file:///etc/hostname", "http://127.0.0.1"])
@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{}'\nduration 9\n",
    ],
)
def test_a_playlist_opens_nothing_else(playlist: str, address: str) -> None:
    with pytest.raises(InvalidAudio):
        decode(io.BytesIO(playlist.format(address).encode()))
