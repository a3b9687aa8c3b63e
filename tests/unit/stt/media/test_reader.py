"""What comes out of a file, and what is refused, with files written for the purpose."""

import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import av
import numpy as np
import pytest

from stt.errors import BadAudio
from stt.media import track_reader
from stt.media.audio import SAMPLE_RATE, AudioReader, NoAudioTrack, Samples
from stt.media.track_reader import MAX_PACKET_SECONDS, TrackReader
from tests.support.recordings import babble, write_recording
from tests.support.uploads import film_without_sound, tone_file, wav_that_claims, with_hole


def read(file: BinaryIO, *, strict: bool = False) -> Samples:
    with AudioReader(file, strict=strict) as reader:
        return np.concatenate([np.zeros(0, np.int16), *reader.blocks()])


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
def test_every_usual_form_becomes_mono_of_16_khz(
    container: str, codec: str, rate: int, channels: int
) -> None:
    samples = read(tone_file(2.0, container, codec, rate, channels))
    assert samples.dtype == np.int16
    assert samples.ndim == 1
    assert len(samples) / SAMPLE_RATE == pytest.approx(2.0, abs=0.1)
    level = np.sqrt(np.mean((samples / 32_768) ** 2))
    assert level == pytest.approx(0.5 / np.sqrt(2), abs=0.05)


def test_a_track_may_change_its_form_midway() -> None:
    changing = io.BytesIO()
    for rate, channels in [(22_050, 1), (44_100, 2), (48_000, 1)]:
        changing.write(tone_file(1.0, "mp3", "libmp3lame", rate, channels).getvalue())
    assert len(read(io.BytesIO(changing.getvalue()))) / SAMPLE_RATE == pytest.approx(3.0, abs=0.2)


def test_both_sides_of_a_loud_stereo_file_are_mixed_without_clipping() -> None:
    samples = read(tone_file(1.0, channels=2, level=0.99))
    assert np.abs(samples).max() / 32_768 == pytest.approx(0.99, abs=0.01)


def test_sides_that_are_inverse_to_one_another_do_not_cancel_out() -> None:
    said = babble(3)
    file = io.BytesIO()
    with av.open(file, "w", format="flac") as output:
        stream = output.add_stream("flac", rate=SAMPLE_RATE, layout="stereo")
        assert isinstance(stream, av.AudioStream)
        packed = np.stack([said, -said], axis=1).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, "s16", "stereo")
        frame.sample_rate = SAMPLE_RATE
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    file.seek(0)
    np.testing.assert_array_equal(read(file), said)


def test_a_film_without_sound_has_no_audio_track() -> None:
    with pytest.raises(NoAudioTrack, match="no audio track"):
        read(film_without_sound())


def test_a_wav_out_of_a_pipe_is_as_long_as_it_is() -> None:
    assert len(read(io.BytesIO(wav_that_claims()))) == 32_000


@pytest.mark.parametrize("rate", [0, 1, 999, 2_000_000, 2_000_000_000])
def test_a_sample_rate_that_would_fill_the_memory_is_refused(rate: int) -> None:
    with pytest.raises(BadAudio):
        read(io.BytesIO(wav_that_claims(rate)))


@pytest.mark.parametrize("rate", [1_000, 4_000, 768_000])
def test_a_sample_rate_that_is_odd_but_safe_is_read(rate: int) -> None:
    seconds = 32_000 / rate
    assert len(read(io.BytesIO(wav_that_claims(rate)))) == round(seconds * SAMPLE_RATE)


def test_broken_packets_between_good_ones_become_silence() -> None:
    data = bytearray(tone_file(4, "flac", "flac").getvalue())
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(200)
    assert len(read(io.BytesIO(data))) == 4 * SAMPLE_RATE


def test_a_file_with_more_broken_packets_than_good_ones_is_refused() -> None:
    data = bytearray(tone_file(4, "mp4", "aac", 44_100).getvalue())
    start, end = len(data) // 10, len(data) * 8 // 10
    data[start:end] = np.random.default_rng(0).bytes(end - start)
    with pytest.raises(BadAudio, match="cannot be decoded"):
        read(io.BytesIO(data), strict=True)


def test_packets_without_any_sound_are_not_read_to_their_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = bytearray(tone_file(9, "mp4", "aac", 44_100).getvalue())
    for place in range(100, len(data) - 5_000, 9):
        data[place] ^= 0xFF
    monkeypatch.setattr(track_reader, "MAX_EMPTY_PACKETS", 3)
    with pytest.raises(BadAudio, match="packets without sound"):
        read(io.BytesIO(data), strict=True)


def test_another_track_that_turns_up_midway_does_not_spoil_the_first() -> None:
    """A stand-in: PyAV fails so only where the memory behind one of its arrays is not zero."""

    class Container:
        def demux(self, track: str) -> Iterator[str]:
            yield f"packet of the {track}"
            raise IndexError("list index out of range")

    reader: Any = SimpleNamespace(_container=Container(), _stream="track")
    found: list[Any] = list(TrackReader._packets(reader))
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
    with pytest.raises(BadAudio):
        read(io.BytesIO(playlist.format(address).encode()))


def test_a_change_of_channels_midway_loses_no_sample() -> None:
    """Concatenated MP3s, as people make them with `cat`."""
    both = b""
    for layout in ("mono", "stereo"):
        file = io.BytesIO()
        flags = {"write_xing": "0", "id3v2_version": "0"}
        with av.open(file, "w", format="mp3", options=flags) as output:
            stream = output.add_stream("libmp3lame", rate=SAMPLE_RATE, layout=layout)
            samples = np.repeat(babble(2), 1 if layout == "mono" else 2).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(samples, "s16", layout)
            frame.sample_rate = SAMPLE_RATE
            output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        both += file.getvalue()
    assert len(read(io.BytesIO(both))) == pytest.approx(4 * SAMPLE_RATE, abs=0.2 * SAMPLE_RATE)


def test_a_hole_in_the_track_becomes_silence_of_its_length(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "talk.ogg", 10.0)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 100] = bytes(100)  # a page that fails its checksum
    with AudioReader(io.BytesIO(bytes(data))) as reader:
        count = sum(len(block) for block in reader.blocks())
    assert reader.decoded_seconds < 9.5
    assert count == pytest.approx(10 * SAMPLE_RATE, abs=0.02 * SAMPLE_RATE)


def test_errors_of_the_file_itself_pass_through(tmp_path: Path) -> None:
    data = write_recording(tmp_path / "talk.mp3", 10.0).read_bytes()
    with pytest.raises(OSError, match="the disk is gone"), AudioReader(Dying(data)) as reader:
        list(reader.blocks())


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_a_hole_is_filled_though_the_packet_before_it_claims_to_last_until_its_end(
    container: str,
) -> None:
    with AudioReader(with_hole(container, "aac", 44_100, hole_seconds=60)) as reader:
        samples = np.concatenate(list(reader.blocks()))
    assert reader.hole_seconds == pytest.approx(60, abs=0.1)
    assert len(samples) == pytest.approx(68 * SAMPLE_RATE, abs=0.1 * SAMPLE_RATE)
    assert not samples[5 * SAMPLE_RATE : 63 * SAMPLE_RATE].any()


def test_a_broken_packet_that_claims_an_hour_is_silence_of_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tone_file(4, "matroska", "libopus", 48_000)

    class Claiming:
        def __init__(self, packet: Any) -> None:
            self._packet = packet
            self.duration = round(3600 / (packet.time_base or 1))

        def __getattr__(self, name: str) -> Any:
            return getattr(self._packet, name)

        def decode(self) -> Any:
            raise av.error.InvalidDataError(0, "broken")

    packets = TrackReader._packets

    def forged(reader: TrackReader) -> Iterator[Any]:
        for number, packet in enumerate(packets(reader)):
            yield Claiming(packet) if number == 3 else packet

    monkeypatch.setattr(TrackReader, "_packets", forged)
    with AudioReader(file) as reader:
        samples = list(reader.blocks())
    assert reader.lost_seconds == MAX_PACKET_SECONDS
    assert sum(map(len, samples)) < 20 * SAMPLE_RATE


def test_blocks_last_a_second_or_more() -> None:
    with AudioReader(tone_file(30.5, rate=48_000)) as reader:
        blocks = list(reader.blocks())
    assert all(SAMPLE_RATE <= len(block) < 4 * SAMPLE_RATE for block in blocks[:-1])


class Dying(io.BytesIO):
    """A file on a disk that fails after the first 100 kB."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 100_000:
            raise OSError(5, "the disk is gone")
        return super().read(size)
