"""A decoder process takes no more than it may have."""

import io
import json
import resource
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from stt.errors import BadAudio
from stt.media.decoder_pool import DecoderPool, DecoderProcess
from stt.media.decoder_process import MAX_MEMORY_BYTES
from stt.media.isolated_reader import IsolatedReader
from tests.support.damage import tones
from tests.support.pace import until
from tests.support.uploads import wav_that_claims

OPEN = {
    "do": "open",
    "options": {"track": None, "channel": None, "strict": False, "filename": ""},
}


def limits_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {line[:25].strip(): line[26:46].strip() for line in lines}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_time_and_files_are_limited() -> None:
    pool = DecoderPool()
    decoder = pool.take()
    assert isinstance(decoder, DecoderProcess)
    pid = decoder.pid
    decoder.ask(OPEN, io.BytesIO(tones("wav")))
    before = limits_of(pid)
    assert MAX_MEMORY_BYTES < int(before["Max address space"]) < MAX_MEMORY_BYTES + (1 << 30)
    assert 60 < int(before["Max cpu time"]) < 100
    opened = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    assert set(range(int(before["Max open files"]))) <= opened
    assert before["Max core file size"] == "0"
    decoder.ask({"do": "close"})
    decoder.ask({"do": "probe"}, io.BytesIO(tones("wav")))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    until(lambda: int(limits_of(pid)["Max open files"]) == soft)
    pool.give(decoder)
    pool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_has_one_thread_however_many_cores_there_are() -> None:
    pool = DecoderPool()
    decoder = pool.take()
    assert isinstance(decoder, DecoderProcess)
    for container in ("wav", "wv", "flac"):
        decoder.ask(OPEN, io.BytesIO(tones(container)))
        decoder.ask({"do": "block"})
        assert "Threads:\t1\n" in Path(f"/proc/{decoder.pid}/status").read_text()
        decoder.ask({"do": "close"})
    pool.give(decoder)
    pool.close()


def test_signals_that_are_meant_for_its_program_do_not_end_it() -> None:
    decoder = DecoderProcess((sys.executable, "-P", "-m", "stt.media.decoder_process"))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        decoder._process.send_signal(number)
    assert decoder.ask({"do": "probe"}, io.BytesIO(tones("wav"))).fields == {"has_sound": True}
    assert decoder.end() == 0


def text_of_two_gigabytes() -> bytes:
    """A WAV file of 3 KB whose header claims a text of 2 GB."""
    texts = struct.pack("<4sI8sI", b"LIST", 0x7FFFFE64, b"INFOISFT", 0x7FFFFE00)
    return wav_that_claims(data=b"").partition(b"data")[0] + texts + bytes(3_000)


def table_of_two_gigabytes() -> bytes:
    """An m4a file whose table of sample sizes claims half a thousand million entries."""
    data = bytearray(tones("mp4", seconds=0.1))
    at = data.index(b"stsz")
    data[at + 4 : at + 16] = struct.pack(">III", 0, 0, 0x1FFFFFFF)
    return bytes(data)


def twenty_pictures() -> bytes:
    """An MP3 file of 2 MB with twenty covers, each of thirty million black points."""

    def seven_bits(number: int) -> bytes:
        return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))

    def block(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    size = 5_500
    head = struct.pack(">IIBBBBB", size, size, 8, 6, 0, 0, 0)
    points = zlib.compress(bytes((1 + 4 * size) * size))
    blocks = block(b"IHDR", head) + block(b"IDAT", points) + block(b"IEND", b"")
    pictures = b""
    for number in range(20):
        body = b"\0image/png\0%c\0\x89PNG\r\n\x1a\n" % number + blocks
        pictures += b"APIC" + seven_bits(len(body)) + b"\0\0" + body
    return b"ID3\4\0\0" + seven_bits(len(pictures)) + pictures + tones("mp3")


PEAK = """
import io, json, pathlib, re, sys
from stt.errors import BadAudio
from stt.media.decoder_pool import pool
from stt.media.isolated_reader import IsolatedReader
decoder = pool.take()
pool.give(decoder)
try:
    with IsolatedReader(io.BytesIO(sys.stdin.buffer.read())) as reader:
        list(reader.blocks())
except BadAudio as error:
    print(json.dumps(str(error)))
for pid in "self", decoder.pid:
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    print(int(re.search("VmHWM:(.+) kB", status)[1]) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("make", [text_of_two_gigabytes, table_of_two_gigabytes, twenty_pictures])
def test_a_small_file_takes_little_memory(make: Callable[[], bytes]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PEAK], input=make(), capture_output=True, check=True
    )
    *_, own, decoders = map(json.loads, done.stdout.splitlines())
    assert (own < 150, decoders < 150) == (True, True)


def test_a_file_is_a_bad_one_however_long_its_name() -> None:
    with pytest.raises(BadAudio):
        IsolatedReader(io.BytesIO(b"junk" * 999), filename="x" * 100_000)
