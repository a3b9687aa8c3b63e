"""Recordings are found among other files, whatever their format, and nothing else is."""

import os
from pathlib import Path

import av
import numpy as np
import pytest

from stt.media.folders import find_recordings
from stt.media.recognition import NAMES, is_recording
from stt.media.recording import RecordingFile
from stt.media.samples import SAMPLE_RATE
from tests.support.damage import tones
from tests.support.paths import ROOT
from tests.support.recordings import write_video_without_sound

FILES = {
    "avi": "avi", "mp2": "mp2", "ts": "mpegts", "m2ts": "mpegts", "mts": "mpegts", "wmv": "asf",
    "wma": "asf", "flv": "flv", "caf": "caf", "mpga": "mp3", "mp3": "mp3", "ac3": "ac3",
    "eac3": "eac3", "ogv": "ogv", "ogg": "ogg", "opus": "opus", "spx": "ogg", "3g2": "3g2",
    "3gp": "3gp", "mka": "matroska", "mkv": "matroska", "mk3d": "matroska", "aac": "adts",
    "mov": "mov", "qt": "mov", "mp4": "mp4", "m4a": "ipod", "m4b": "ipod", "m4r": "ipod",
    "f4v": "f4v", "webm": "webm", "weba": "webm", "wav": "wav", "w64": "w64", "aiff": "aiff",
    "aifc": "aiff", "au": "au", "snd": "au", "flac": "flac", "wv": "wv", "tta": "tta",
    "mpg": "mpeg", "mpeg": "mpeg", "vob": "vob", "nut": "nut", "dts": "dts", "voc": "voc",
    "ismv": "ismv", "mxf": "mxf", "latm": "latm",
}  # fmt: skip
"""By extension: FFmpeg's name of the container."""


@pytest.mark.parametrize("extension", FILES)
def test_a_recording_in_any_container_is_found_and_read(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"talk.{extension.upper()}"
    try:
        path.write_bytes(tones(FILES[extension], seconds=3))
    except (av.FFmpegError, ValueError):
        assert f".{extension}" in NAMES, "not to be written here, so known by its name"
        return
    assert [found.path for found in find_recordings([tmp_path])] == [path]
    with RecordingFile(path) as recording:
        samples = np.concatenate(list(recording.blocks()))
    assert len(samples) / SAMPLE_RATE == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize("extension", ["sln", "sln16", "ulaw", "alaw", "g722"])
def test_bytes_of_a_telephone_system_are_told_by_their_extension(
    extension: str, tmp_path: Path
) -> None:
    rate = 16_000 if extension in {"sln16", "g722"} else 8_000
    container, codec = {
        "sln": ("s16le", "pcm_s16le"), "sln16": ("s16le", "pcm_s16le"),
        "ulaw": ("mulaw", "pcm_mulaw"), "alaw": ("alaw", "pcm_alaw"), "g722": ("g722", "g722"),
    }[extension]  # fmt: skip
    path = tmp_path / f"call.{extension}"
    path.write_bytes(tones(container, 400, 3, rate, codec=codec))
    assert is_recording(path)
    with RecordingFile(path) as recording:
        samples = np.concatenate(list(recording.blocks()))
    assert len(samples) / SAMPLE_RATE == pytest.approx(3, abs=0.05)
    assert 3_000 < np.abs(samples).max() < 12_000


NO_RECORDINGS = {
    "notes.txt": b"good morning\n" * 100,
    "program.ts": b"export const answer: number = 42;\n" * 200,
    "module.mts": b"import { a } from './b.mjs';\n" * 200,
    "talk.srt": b"1\n00:00:00,000 --> 00:00:01,000\nHello.\n\n" * 20,
    "talk.vtt": b"WEBVTT\n\n00:00.000 --> 00:01.000\nHello.\n",
    "talk.ass": b"[Script Info]\nScriptType: v4.00+\n",
    "talk.sub": b"{0}{25}Hello.\n{30}{50}Again.\n" * 20,
    "talk.lrc": b"[00:01.00]Hello\n" * 20,
    "list.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\na.ts\n#EXT-X-ENDLIST\n",
    "list.mpd": b"<?xml version='1.0'?><MPD></MPD>",
    "list.m3u": b"#EXTM3U\na.mp3\n",
    "list.xml": b"<?xml version='1.0'?><a/>",
    "list.ffconcat": b"ffconcat version 1.0\nfile 'a.mp3'\n",
    "data.dat": np.random.default_rng(5).bytes(50_000),
    "data.bin": np.random.default_rng(6).bytes(50_000),
    "data.pcm": np.random.default_rng(7).bytes(50_000),
    "data.bit": bytes(50_000),
    "noise.mods": np.random.default_rng(8).bytes(50_000),
    "no extension": b"",
    "empty.dat": b"",
}


@pytest.mark.parametrize("name", NO_RECORDINGS)
def test_what_ffmpeg_knows_but_has_no_sound_is_no_recording(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(NO_RECORDINGS[name])
    assert not is_recording(tmp_path / name)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tiff", "a.gif", "a.webp", "a.qoi"])
def test_a_picture_is_no_recording(name: str, tmp_path: Path) -> None:
    picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
    try:
        with av.open(str(tmp_path / name), "w") as output:
            stream = output.add_stream(output.default_video_codec, rate=1)
            assert isinstance(stream, av.VideoStream)
            stream.width = stream.height = 32
            output.mux([*stream.encode(picture), *stream.encode(None)])
    except (av.FFmpegError, ValueError):
        (tmp_path / name).write_bytes(b"no picture")
    assert not is_recording(tmp_path / name)


def test_a_film_without_sound_is_looked_into_where_its_name_may_mean_something_else(
    tmp_path: Path,
) -> None:
    film = write_video_without_sound(tmp_path / "film.ts")
    assert not is_recording(film)
    assert is_recording(write_video_without_sound(tmp_path / "film.mp4"))  # for a clear refusal


def test_a_pipe_and_a_folder_keep_nothing_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ts")
    (tmp_path / "folder.ts").mkdir()
    assert not is_recording(tmp_path / "pipe.ts")
    assert not is_recording(tmp_path / "folder.ts")
    assert not is_recording(tmp_path / "absent.ts")


def test_nothing_in_this_checkout_but_its_recordings_is_taken_for_one() -> None:
    found = [entry.path for entry in find_recordings([ROOT / "stt", ROOT / "docs", ROOT / "tests"])]
    assert {path.suffix for path in found} <= {".ogg", ".opus", ".mkv", ".wav", ".flac", ".mp3"}
