"""Broken, forged and malicious uploads at a real server: a 4xx, in bounded time and memory."""

import io
import re
import struct
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests

from tests.support.damage import tones
from tests.support.paths import ROOT
from tests.support.uploads import film_without_sound, flac_bomb, tone_file, wav_that_claims
from tests.support.whisper_process import WhisperProcess, running_server
from tests.support.whisper_stand_in import TRANSCRIPTIONS

SAMPLE = ROOT / "stt" / "whisper" / "canary.ogg"
MOST_AUDIO_SECONDS = 1800
MEGABYTE = 1 << 20
GROWTH_BYTES = 200 * MEGABYTE
"""What any of these uploads may add to the memory of a server that has had five callers at once."""

FORMS = {
    "wav": ("wav", "pcm_s16le", 16_000),
    "mp3": ("mp3", "libmp3lame", 22_050),
    "m4a": ("mp4", "aac", 44_100),
    "flac": ("flac", "flac", 16_000),
    "ogg": ("ogg", "libopus", 48_000),
    "webm": ("webm", "libopus", 48_000),
}


@pytest.fixture(scope="module")
def server() -> Iterator[WhisperProcess]:
    """Fails at the end if the uploads left the server fat or unable to work."""
    with running_server(max_audio_seconds=MOST_AUDIO_SECONDS) as process:
        expected = heard(process)
        with ThreadPoolExecutor(5) as pool:
            assert set(pool.map(heard, [process] * 10)) == {expected}
        used_to = peak(process)
        yield process
        assert heard(process) == expected
        assert peak(process) - used_to < GROWTH_BYTES
        assert "Traceback" not in process.log


def post(
    server: WhisperProcess, data: bytes, name: str = "a.mp3", kind: str = "audio/mpeg"
) -> requests.Response:
    """The answer, which is OpenAI's error object unless the upload was transcribed."""
    files = {"file": (name, data, kind)}
    answer = requests.post(
        server.url + TRANSCRIPTIONS, files=files, data={"language": "en"}, timeout=60
    )
    if answer.status_code != 200:
        assert 400 <= answer.status_code < 500
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["type"] == "invalid_request_error"
        assert error["param"] == "file"
        assert "\n" not in error["message"]
    return answer


def heard(server: WhisperProcess) -> str:
    answer = post(server, SAMPLE.read_bytes(), SAMPLE.name, "audio/ogg")
    assert answer.status_code == 200
    return str(answer.json()["text"])


def peak(server: WhisperProcess) -> int:
    """The most memory that the server has had so far, in bytes; 0 where there is no Linux."""
    status = Path(f"/proc/{server.pid}/status")
    if not status.exists():
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_breaks_off_is_refused_or_heard_as_far_as_it_goes(
    server: WhisperProcess, form: str
) -> None:
    whole = tone_file(3, *FORMS[form]).getvalue()
    parts = [0, len(whole) // 10, len(whole) // 2, len(whole) - 1, len(whole)]
    with ThreadPoolExecutor(len(parts)) as pool:
        answers = list(pool.map(lambda part: post(server, whole[:part]).status_code, parts))
    assert answers[0] == 400
    assert answers[-1] == 200
    if form == "m4a":  # its index is the last thing in the file
        assert answers[1:3] == [400, 400]
    else:
        assert answers[2:4] == [200, 200]


def test_what_the_sender_calls_a_file_does_not_matter(server: WhisperProcess) -> None:
    data = SAMPLE.read_bytes()
    for name, kind in [("a.wav", "image/png"), ("a.exe", ""), ("../../a", "text/html")]:
        assert post(server, data, name, kind).status_code == 200


def random_bytes(count: int) -> bytes:
    return np.random.default_rng(count).bytes(count)


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.wav", bytes(5 * MEGABYTE))
    return file.getvalue()


def mp4_box(size: int, kind: bytes) -> bytes:
    start = struct.pack(">I", 24) + b"ftypisom\0\0\2\0isomiso2"
    return start + struct.pack(">I", 1) + kind + struct.pack(">Q", size) + bytes(5_000)


def tag_that_claims(size: int, content: int) -> bytes:
    """An ID3 tag with a picture of `size` bytes, of which `content` are there."""

    def seven_bits(number: int) -> bytes:
        return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))

    picture = b"APIC" + seven_bits(size - 10) + b"\0\0" + b"\0image/png\0\3\0"
    return b"ID3\4\0\0" + seven_bits(size) + picture + bytes(content)


def wav_with_a_text_that_claims(size: int) -> bytes:
    """FFmpeg would take that much memory for the text, and fill it with zeros."""
    texts = b"LIST" + struct.pack("<I", size + 100) + b"INFOISFT" + struct.pack("<I", size)
    return wav_that_claims(data=b"").partition(b"data")[0] + texts + bytes(3_000)


NOT_AUDIO: dict[str, Callable[[], bytes]] = {
    "text": lambda: b"one two three " * 1000,
    "html": lambda: b"<!doctype html><html><body><audio src='/etc/passwd'></audio></body></html>",
    "svg": lambda: (
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/hosts'/></svg>"
    ),
    "zip": zipped,
    "film without sound": lambda: film_without_sound().getvalue(),
    "playlist": lambda: b"#EXTM3U\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
    "list of files": lambda: b"ffconcat version 1.0\nfile '/etc/hostname'\n",
    "one byte": lambda: b"\0",
    "zeros": lambda: bytes(MEGABYTE),
    "rate of 0 Hz": lambda: wav_that_claims(0),
    "rate of 1 Hz": lambda: wav_that_claims(1),
    "rate of 2 GHz": lambda: wav_that_claims(2_000_000_000),
    "65,535 channels": lambda: wav_that_claims(channels=65_535),
    "header alone": lambda: wav_that_claims(data=b""),
    "box of 2^63 bytes": lambda: mp4_box(1 << 63, b"moov"),
    "data of 2^63 bytes": lambda: mp4_box((1 << 63) - 1, b"mdat"),
    "tag of 200 MB": lambda: tag_that_claims(200 * MEGABYTE, 1_000),
    "text of 2 GB": lambda: wav_with_a_text_that_claims(0x7FFFFE00),
    "tag of 20 MB": lambda: tag_that_claims(20 * MEGABYTE, 20 * MEGABYTE),
    "stream header alone": lambda: flac_bomb(0, claimed_samples=(1 << 36) - 1),
}


@pytest.mark.parametrize("kind", NOT_AUDIO)
def test_what_is_no_audio_is_a_bad_request(server: WhisperProcess, kind: str) -> None:
    started = time.monotonic()
    assert post(server, NOT_AUDIO[kind]()).status_code == 400
    assert time.monotonic() - started < 10


def mp3_that_claims_years() -> bytes:
    data = bytearray(tone_file(3, "mp3", "libmp3lame", 22_050).getvalue())
    tag = max(data.find(b"Info"), data.find(b"Xing"))
    assert tag > 0
    data[tag + 8 : tag + 16] = b"\x7f\xff\xff\xff" * 2  # the numbers of frames and of bytes
    return bytes(data)


def chain(*rates: int) -> bytes:
    return b"".join(tone_file(1, "mp3", "libmp3lame", rate).getvalue() for rate in rates)


HONEST: dict[str, Callable[[], bytes]] = {
    "wav out of a pipe": wav_that_claims,
    "mp3 that claims years": mp3_that_claims_years,
    "flac that claims 49 days": lambda: flac_bomb(0.01, claimed_samples=(1 << 36) - 1),
    "192 kHz on 8 channels": lambda: tone_file(
        1, "wav", "pcm_f32le", rate=192_000, channels=8
    ).getvalue(),
    "rates that change": lambda: chain(22_050, 48_000, 16_000),
    "no numbers": lambda: wav_that_claims(bits=32, form=3, data=b"\0\0\xc0\x7f" * 32_000),
    "twelve minutes of nothing in 3 KB": lambda: flac_bomb(0.2),
    "a thousand files in one": lambda: tones("ogg", seconds=0.1) * 1_000,
    "pages that begin files, and no more": lambda: (
        tones("ogg") + (b"OggS\0\2" + bytes(21)) * 200_000
    ),
    "20 MB of junk behind a second of sound": lambda: tones("mp3") + bytes(20 * MEGABYTE),
    "half a million empty boxes": lambda: tones("mp4") + b"\0\0\0\x08free" * 500_000,
    "255 channels": lambda: wav_that_claims(channels=255, data=bytes(255 * 2 * 16_000)),
}


@pytest.mark.parametrize("kind", HONEST)
def test_what_lies_only_about_itself_is_heard(server: WhisperProcess, kind: str) -> None:
    assert post(server, HONEST[kind]()).status_code == 200


BOMBS: dict[str, Callable[[], bytes]] = {
    "flac of two days": lambda: flac_bomb(48),
    "flac of a week at 1,000 Hz": lambda: flac_bomb(168, rate=1_000),
    "mp3 of two hours": lambda: tone_file(60, "mp3", "libmp3lame", 8_000, level=0).getvalue() * 120,
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_small_file_of_many_hours_is_refused_at_once(server: WhisperProcess, kind: str) -> None:
    bomb = BOMBS[kind]()
    assert len(bomb) < 20 * MEGABYTE
    started = time.monotonic()
    answer = post(server, bomb)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "audio_too_long"
    assert time.monotonic() - started < 5


def test_noise_and_damage_never_break_the_server(server: WhisperProcess) -> None:
    """Random bytes, bare and behind sound headers, and sound files with random changes."""
    random = np.random.default_rng(4)
    uploads = [random_bytes(count) for count in (2, 100, 5_000, 300_000)]
    for form in FORMS.values():
        whole = tone_file(2, *form).getvalue()
        uploads.append(whole[:100] + random_bytes(30_000))
        for changes in (3, 100, 1_000):
            damaged = np.frombuffer(whole, np.uint8).copy()
            damaged[random.integers(0, len(damaged), changes)] = random.integers(0, 256, changes)
            uploads.append(damaged.tobytes())
    # One by one: FFmpeg may take 128 MB for each, and the server's growth is looked at in the end.
    statuses = [post(server, data).status_code for data in uploads]
    assert set(statuses) <= {200, 400, 413}
    assert statuses[:3] == [400, 400, 400]
