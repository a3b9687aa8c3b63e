"""Read one damaged file after the other, and say how each ended."""

import io
import json
import random
import re
import resource
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from stt.errors import BadAudio
from stt.media import isolated_reader
from stt.media.decoder_pool import DecoderHere, DecoderPool, DecoderProcess
from stt.media.isolated_reader import IsolatedReader
from tools.fuzz_lab.mutations import mutated

MAX_SECONDS = 3_600
"""Sound that is taken of a file: a few bytes may unpack to days."""
SLOW_SECONDS = 10.0

LARGE_MB = 250
"""A decoder that needs more for one of these small files is a finding."""

_REPORT_SECONDS = 1.0
_FINDINGS = {
    "it crashes the decoder": "crash",
    "the decoder was killed": "killed",
    "it takes more memory": "memory",
    "it takes too much time": "time",
    "nothing came of it": "hang",
    "the decoder failed over it": "error",
}
"""By what the line of a BadAudio holds."""


class MeasuredPool(DecoderPool):
    """Decoders, and the most memory that one of them had, in MB (Linux)."""

    def __init__(self, *, here: bool) -> None:
        super().__init__()
        self.peak_mb = 0
        self.large = threading.local()
        """Whether the last file that this thread has read took LARGE_MB for the first time."""
        self._here = here

    def take(self) -> DecoderProcess | DecoderHere:
        if self._here:
            return DecoderHere()
        decoder = super().take()
        assert isinstance(decoder, DecoderProcess)
        return decoder

    def give(self, decoder: object) -> None:
        assert isinstance(decoder, DecoderProcess | DecoderHere)
        if isinstance(decoder, DecoderProcess) and decoder.is_alive:
            status = Path(f"/proc/{decoder.pid}/status")
            found = re.search(r"VmHWM:\s+(\d+)", status.read_text() if status.exists() else "")
            megabytes = int(found[1]) // 1024 if found else 0
            self.peak_mb = max(self.peak_mb, megabytes)
            if megabytes >= LARGE_MB:
                self.large.megabytes = megabytes
                decoder.end()  # the peak of the next file counts by itself
        super().give(decoder)


class Readers:
    """Threads that read the files from `first` on, for `seconds` or up to `last`.

    Every second, and at the end, a line of JSON goes to stdout: counts by ending, the number of the
    next file, findings, and peaks of memory. `here`: decode in this process.
    """

    def __init__(self, seeds: Mapping[str, bytes], seed: int, first: int, *, here: bool) -> None:
        self._seeds, self._seed = seeds, seed
        self._next = first
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._findings: list[tuple[int, str, str]] = []
        self._pool = MeasuredPool(here=here)
        setattr(isolated_reader, "pool", self._pool)  # noqa: B010

    def run(self, threads: int, seconds: float, last: int | None) -> None:
        deadline = time.monotonic() + seconds
        readers = [
            threading.Thread(target=self._read_until, args=(deadline, last), daemon=True)
            for _ in range(threads)
        ]
        for reader in readers:
            reader.start()
        while any(reader.is_alive() for reader in readers):
            time.sleep(_REPORT_SECONDS / 10 if last is not None else _REPORT_SECONDS)
            self._report()
        self._pool.close()
        self._report()

    def _read_until(self, deadline: float, last: int | None) -> None:
        while time.monotonic() < deadline:
            with self._lock:
                number = self._next
                if last is not None and number >= last:
                    return
                self._next += 1
            _, data = mutated(self._seeds, self._seed, number)
            _print({"begins": number})
            self._pool.large.megabytes = 0
            ending, text = ending_of(data, random.Random(number))
            _print({"ends": number})
            if ending in ("read", "refused") and self._pool.large.megabytes:
                ending, text = "large", f"{self._pool.large.megabytes} MB: {text}"
            with self._lock:
                self._counts[ending] += 1
                if ending not in ("read", "refused"):
                    self._findings.append((number, ending, text))

    def _report(self) -> None:
        with self._lock:
            findings, self._findings = self._findings, []
            own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            own_mb = own // (1024 if sys.platform == "linux" else 1024**2)
            line = {
                "counts": self._counts,
                "findings": findings,
                "decoder_mb": self._pool.peak_mb,
                "own_mb": own_mb,
            }
            _print(line)


def _print(line: Mapping[str, object]) -> None:
    """Print in one piece: several threads do."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def ending_of(data: bytes, chance: random.Random) -> tuple[str, str]:
    """Read a file as one of the programs would; return how that ended, and with which line."""
    began = time.monotonic()
    channel, is_strict = chance.choice((None, None, 0)), chance.random() < 0.2
    name = chance.choice(("", "", "", "", "", "", "a.gsm", "a.g722", "a.ulaw"))
    try:
        with IsolatedReader(
            io.BytesIO(data), channel=channel, strict=is_strict, filename=name
        ) as reader:
            if chance.random() < 0.2:
                for _ in reader.packet_seconds():
                    pass
            else:
                samples = 0
                for block in reader.blocks():
                    samples += len(block)
                    if samples > MAX_SECONDS * 16_000:
                        break
    except BadAudio as error:
        text = str(error)
        kinds = (kind for mark, kind in _FINDINGS.items() if mark in text)
        ending = next(kinds, "refused")
    except Exception:
        return "parent's error", traceback.format_exc(limit=-3)
    else:
        ending, text = "read", ""
    if ending in ("read", "refused") and time.monotonic() - began > SLOW_SECONDS:
        return "slow", f"{time.monotonic() - began:.1f} s: {text}"
    return ending, text
