"""Files that were joined to one are found, and read to the end of the last."""

import io
from pathlib import Path

import numpy as np
import pytest

from stt.media import links as links_module
from stt.media import reader as reader_module
from stt.media.audio import SAMPLE_RATE, AudioReader
from stt.media.links import links
from stt.media.window import FileWindow
from tests.support.damage import FORMS, pitch_of, tones

SPLIT = ("ogg", "oga", "flac", "wav", "aiff", "caf", "mp4", "avi", "asf", "flv", "wv")
NAMES = {"oga": "ogg", "mp4": "mov,mp4,m4a,3gp,3g2,mj2"}
DATA = Path(__file__).parents[3] / "data"


def starts(data: bytes, container: str) -> list[int]:
    name = NAMES.get(container, container)
    sizes = [window.size for window in links(FileWindow(io.BytesIO(data)), name)]
    return [sum(sizes[:count]) for count in range(len(sizes))]


@pytest.mark.parametrize("container", FORMS)
def test_joined_files_of_other_rates_and_channels_are_all_read(container: str) -> None:
    one = tones(container, 400, 2)
    if container in {"webm", "matroska", "mpegts"}:  # FFmpeg joins these, and their form may stay
        other = tones(container, 700, 3)
    else:
        other = tones(container, 700, 3, 24_000 if container == "ogg" else 44_100, "stereo")
    with AudioReader(io.BytesIO(one + other)) as reader:
        samples = np.concatenate(list(reader.blocks()))
    assert len(samples) / SAMPLE_RATE == pytest.approx(5, abs=0.25)
    assert pitch_of(samples[: SAMPLE_RATE * 3 // 2]) == 400
    assert pitch_of(samples[-2 * SAMPLE_RATE :]) == 700
    assert not [line for line in reader.warnings if "truncated" in line]


def test_chained_opus_of_another_program_is_read_whole() -> None:
    with (DATA / "chained-opus.ogg").open("rb") as file, AudioReader(file, strict=True) as reader:
        samples = np.concatenate(list(reader.blocks()))
    assert len(samples) / SAMPLE_RATE == pytest.approx(6.5, abs=0.1)
    assert np.abs(samples[4 * SAMPLE_RATE :]).max() > 3_000


@pytest.mark.parametrize("container", SPLIT)
def test_each_file_is_found_where_it_begins(container: str) -> None:
    one, other = tones(container, 400, 0.5), tones(container, 700, 1)
    assert starts(one + other + one, container) == [0, len(one), len(one + other)]
    assert starts(one, container) == [0]


def test_streams_of_one_ogg_file_begin_together() -> None:
    one = tones("ogg")
    pages = one.split(b"OggS")
    first = b"OggS" + pages[1]
    second = bytearray(first)
    second[14] ^= 1  # another serial number
    both = bytes(first + second) + one[len(first) :]
    assert starts(both, "ogg") == [0]
    assert starts(both + both, "ogg") == [0, len(both)]


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) - 3, (1 << 20) - 63, (1 << 20) - 64])
def test_a_beginning_across_two_blocks_is_found(size: int) -> None:
    one = tones("flac", seconds=0.1)
    padded = one + bytes(size - len(one))
    assert starts(padded + one, "flac") == [0, size]


def test_a_name_of_the_format_within_the_sound_is_no_beginning() -> None:
    one = tones("wav")
    assert starts(one[:-400] + b"RIFFabcdWAVEfmt " * 25, "wav") == [0]
    assert starts(tones("ogg") + b"OggS" + bytes(100), "ogg") == [0]


def test_a_part_that_is_broken_is_passed_over_and_said() -> None:
    one, other = tones("ogg", 400), tones("ogg", 700)
    broken = other[:40] + bytes(2_000)
    with AudioReader(io.BytesIO(one + broken + other)) as reader:
        samples = np.concatenate(list(reader.blocks()))
    assert len(samples) / SAMPLE_RATE == pytest.approx(4, abs=0.1)
    assert any("joined to it at 0:00:02.0" in line for line in reader.warnings)


def test_the_length_of_all_is_measured() -> None:
    data = tones("ogg", seconds=2) + tones("ogg", seconds=3)
    with AudioReader(io.BytesIO(data)) as reader:
        assert sum(reader.packet_seconds()) == pytest.approx(5, abs=0.1)


def test_a_file_of_very_many_beginnings_has_so_many_parts_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(links_module, "MAX_LINKS", 5)
    one = tones("flac", seconds=0.1)
    assert len(starts(one * 9, "flac")) == 5
    monkeypatch.setattr(reader_module, "MAX_LINKS", 5)
    with AudioReader(io.BytesIO(tones("wav", seconds=0.1) * 9)) as reader:
        assert sum(map(len, reader.blocks())) == pytest.approx(0.5 * SAMPLE_RATE)
    assert reader.warnings == ["more than 5 files were joined to it: the last may be missing"]
    monkeypatch.setattr(links_module, "MAX_ELEMENTS", 3)
    assert len(starts(tones("wav", seconds=0.1) * 9, "wav")) == 3
