"""What is lost within a track is counted, silence stands in its place, and the rest is kept."""

import io

import numpy as np
import pytest

from stt.errors import BadAudio
from stt.media.audio import SAMPLE_RATE, AudioReader, NothingDecoded, Samples
from stt.media.track_reader import TrackReader
from stt.media.window import FileWindow
from tests.support.damage import FORMS, pitch_of, tones, zeroed

# PCM has no packets that could be broken: zeros are silence.
CODED = sorted(set(FORMS) - {"wav", "aiff", "caf"})


def read(data: bytes, *, strict: bool = False) -> tuple[Samples, list[str]]:
    with AudioReader(io.BytesIO(data), strict=strict) as reader:
        samples = np.concatenate(list(reader.blocks()))
    return samples, reader.warnings


@pytest.mark.parametrize("container", sorted(set(CODED) - {"wv"}))  # FFmpeg reads no WavPack on
def test_zeros_in_the_middle_cost_no_more_than_what_lay_there(container: str) -> None:
    flags = {"movflags": "faststart"} if container == "mp4" else {}
    samples, warnings = read(zeroed(tones(container, seconds=20, flags=flags), 0.5, 0.6))
    assert 16 * SAMPLE_RATE < len(samples) < 21 * SAMPLE_RATE
    assert pitch_of(samples[: 8 * SAMPLE_RATE]) == 400
    assert pitch_of(samples[-5 * SAMPLE_RATE :]) == 400
    assert warnings


@pytest.mark.parametrize("container", ["mp3", "ac3", "flac", "ogg", "mp4", "mpegts", "flv"])
def test_what_follows_broken_bytes_keeps_its_place_in_time(container: str) -> None:
    flags = {"movflags": "faststart"} if container == "mp4" else {}
    samples, _ = read(zeroed(tones(container, seconds=20, flags=flags), 0.5, 0.6))
    assert len(samples) / SAMPLE_RATE == pytest.approx(20, abs=0.2)


@pytest.mark.parametrize("container", CODED)
def test_of_a_download_whose_second_half_is_zeros_the_first_is_kept(container: str) -> None:
    flags = {"movflags": "faststart"} if container == "mp4" else {}
    data = zeroed(tones(container, seconds=20, flags=flags), 0.5, 1.0)
    samples, warnings = read(data)
    assert len(samples) > 8 * SAMPLE_RATE
    assert pitch_of(samples[: 8 * SAMPLE_RATE]) == 400
    assert warnings


def test_junk_behind_a_transport_stream_costs_nothing_of_it() -> None:
    junk = np.random.default_rng(1).bytes(777)
    data = tones("mpegts", seconds=6) + junk
    samples, _ = read(data)
    assert len(samples) / SAMPLE_RATE == pytest.approx(6, abs=0.1)


def test_reading_goes_on_behind_an_error_of_the_container() -> None:
    data = zeroed(tones("ogg", seconds=20), 0.5, 1.0)
    _, warnings = read(data)
    assert warnings == ["damaged: it cannot be read past 0:00:10.0"]
    with pytest.raises(BadAudio, match="damaged: it cannot be read past"):
        read(data, strict=True)


def test_a_lost_page_is_said_with_its_place() -> None:
    data = bytearray(tones("ogg", seconds=20))
    page = data.index(b"OggS", len(data) // 2)
    data[page + 200] ^= 0xFF  # its checksum fails
    samples, warnings = read(bytes(data))
    assert len(samples) / SAMPLE_RATE == pytest.approx(20, abs=0.05)
    (warning,) = warnings
    assert "s are missing in it, the first at 0:00:1" in warning


def test_single_broken_packets_are_said_and_not_refused() -> None:
    data = zeroed(tones("mp4", seconds=20, flags={"movflags": "faststart"}), 0.5, 0.501)
    _, warnings = read(data, strict=True)
    assert warnings[0].startswith("damaged: 0.0")


def test_tags_between_joined_files_are_no_damage() -> None:
    one = tones("mp3", flags={"write_xing": "0"})
    picture = b"ID3\4\0\0" + bytes([0, 0, 4, 0]) + bytes(512)
    _, warnings = read(one + picture + one)
    assert warnings == []


def test_a_few_frames_by_chance_among_noise_are_no_recording() -> None:
    data = tones("mp4", seconds=20, flags={"movflags": "faststart"})
    kept = data.index(b"mdat") + 5_000
    with pytest.raises(NothingDecoded, match=r"damaged: \d+.\d s of it cannot be decoded"):
        read(data[:kept] + bytes(len(data) - kept))


@pytest.mark.parametrize("container", ["mp3", "ac3"])
def test_junk_behind_a_recording_does_not_become_silence(container: str) -> None:
    samples, warnings = read(tones(container, seconds=4) + bytes(2_000_000))
    assert len(samples) / SAMPLE_RATE == pytest.approx(4, abs=0.2)
    assert "s of it cannot be decoded, the first at 0:00:04" in warnings[0]


def test_a_track_by_its_number_in_a_part_of_a_file() -> None:
    data = tones("wav", 700)
    file = io.BytesIO(b"before" + data + b"behind")
    track = TrackReader(FileWindow(file, 6, 6 + len(data)), 1)
    assert sum(track.packet_seconds()) == pytest.approx(2)
    track.close()
    with pytest.raises(BadAudio, match="no track 2"):
        TrackReader(FileWindow(file, 6, 6 + len(data)), 2)
