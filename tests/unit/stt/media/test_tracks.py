"""Of several audio tracks the file's default one is taken, and none that is silent."""

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

from stt.media import tracks as tracks_module
from stt.media.audio import SAMPLE_RATE, AudioReader, NoSuchTrack, Samples
from stt.media.tracks import NoAudioTrack
from tests.support.uploads import film_without_sound

DATA = Path(__file__).parents[3] / "data"
NOT_FLAGGED = Disposition(0)


@dataclass
class Track:
    """A tone of its own pitch, or silence at a pitch of 0, from `begins_seconds` on."""

    pitch: int
    flags: Disposition = NOT_FLAGGED
    begins_seconds: float = 0.0


def film(*tracks: Track, seconds: int = 3, container: str = "matroska") -> io.BytesIO:
    file = io.BytesIO()
    times = np.arange(seconds * SAMPLE_RATE) / SAMPLE_RATE
    codec = "aac" if container == "mp4" else "flac"
    with av.open(file, "w", format=container) as output:
        streams: list[Any] = [
            output.add_stream(codec, rate=SAMPLE_RATE, layout="mono") for _ in tracks
        ]
        for stream, track in zip(streams, tracks, strict=True):
            stream.disposition = track.flags
        for start in range(0, len(times), 1_024):
            for stream, track in zip(streams, tracks, strict=True):
                part = times[start : start + 1_024]
                wave = 9_000 * np.sin(2 * np.pi * track.pitch * part)
                wave *= part >= track.begins_seconds
                frame = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], "s16", "mono")
                frame.sample_rate, frame.pts = SAMPLE_RATE, start
                frame.time_base = Fraction(1, SAMPLE_RATE)
                wanted = av.AudioResampler(stream.format, "mono", SAMPLE_RATE)
                for converted in wanted.resample(frame):
                    output.mux(stream.encode(converted))
        for stream in streams:
            output.mux(stream.encode(None))
    file.seek(0)
    return file


def pitch_of(samples: Samples) -> int:
    loudness = np.abs(np.fft.rfft(samples.astype(float)))
    return round(float(np.argmax(loudness)) * SAMPLE_RATE / len(samples))


def taken(file: io.BytesIO, track: int | None = None) -> tuple[int, int, int]:
    """The number of the track, of how many, and its pitch."""
    with AudioReader(file, track) as reader:
        samples = np.concatenate(list(reader.blocks()))
        return reader.track, reader.track_count, round(pitch_of(samples), -1)


def test_the_one_that_is_flagged_default_is_taken() -> None:
    assert taken(film(Track(300), Track(500, Disposition.default))) == (2, 2, 500)


def test_a_silent_one_is_passed_over_for_a_later_one() -> None:
    assert taken(film(Track(0, Disposition.default), Track(500))) == (2, 2, 500)
    assert taken(film(Track(0), Track(500))) == (2, 2, 500)


def test_of_equals_the_first_is_taken() -> None:
    assert taken(film(Track(300), Track(500))) == (1, 2, 300)
    assert taken(film(Track(0), Track(0)))[:2] == (1, 2)


def test_the_default_one_may_begin_later_than_the_others() -> None:
    assert taken(film(Track(300, begins_seconds=2, flags=Disposition.default), Track(500))) == (
        1,
        2,
        300,
    )


def test_a_description_for_the_blind_is_the_last_choice() -> None:
    described = Disposition.visual_impaired | Disposition.descriptions
    assert taken(film(Track(300, described), Track(500))) == (2, 2, 500)
    assert taken(film(Track(300, Disposition.comment), Track(500))) == (2, 2, 500)


@pytest.mark.parametrize("container", ["matroska", "mp4", "nut"])
def test_the_one_that_is_asked_for_is_taken(container: str) -> None:
    tracks = (Track(300, Disposition.default), Track(500), Track(700))
    for number, track in enumerate(tracks, 1):
        assert taken(film(*tracks, container=container), number) == (number, 3, track.pitch)


@pytest.mark.parametrize("number", [3, 9, -1])
def test_one_that_is_not_there_is_refused(number: int) -> None:
    with pytest.raises(NoSuchTrack, match=rf"no track {number}: it has 2 audio tracks"):
        taken(film(Track(300), Track(500)), number)


def test_a_file_with_one_track_has_no_second() -> None:
    with pytest.raises(NoSuchTrack, match="no track 2: it has one audio track"):
        taken(film(Track(300)), 2)


def test_a_film_without_sound_has_none_to_choose() -> None:
    with pytest.raises(NoAudioTrack, match="no audio track"):
        taken(io.BytesIO(film_without_sound().getvalue()), 1)


def test_the_search_for_sound_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracks_module, "SCANNED_SECONDS", 1)
    assert taken(film(Track(0), Track(500, begins_seconds=2)))[0] == 1
    monkeypatch.setattr(tracks_module, "MAX_SCANNED_PACKETS", 2)
    assert taken(film(Track(0), Track(500, begins_seconds=0.5)))[0] == 1


def test_a_file_of_another_program_with_its_speech_in_the_second_track() -> None:
    with (DATA / "two-tracks-second-default.mkv").open("rb") as file, AudioReader(file) as reader:
        samples = np.concatenate(list(reader.blocks()))
        assert (reader.track, reader.track_count) == (2, 2)
    assert np.abs(samples).max() > 3_000


def test_one_channel_is_read_alone_and_the_number_of_channels_is_known() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="wav") as output:
        stream: Any = output.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="stereo")
        times = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
        sides = [9_000 * np.sin(2 * np.pi * pitch * times) for pitch in (300, 500)]
        packed = np.stack(sides, axis=1).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, "s16", "stereo")
        frame.sample_rate = SAMPLE_RATE
        output.mux(stream.encode(frame))
    for channel, pitch in enumerate((300, 500)):
        file.seek(0)
        with AudioReader(file, channel=channel) as reader:
            assert reader.channels == 2
            assert pitch_of(np.concatenate(list(reader.blocks()))) == pitch
