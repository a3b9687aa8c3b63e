"""Recordings that come, grow, move, repeat, break and go in a watched folder."""

import hashlib
import io
import random
import time
import wave
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np

from stt.media.audio import SAMPLE_RATE
from tools.chaos_lab import barcode

_MAX_SECONDS = 5
_MANY_FILES = 80


@dataclass
class Growing:
    """A file that is being written: what is still to come, and when."""

    path: Path
    rest: bytes
    numbers: tuple[int, ...]
    next_at: float = 0.0


@dataclass
class Files:
    """What lies in the folder: `good` recordings by their numbers, `broken` ones, a person's notes.

    `gone`: contents whose transcript a person may have left behind. `seen`: the hashes of all
    contents that were whole. `excused`: files that grew and were whole only for a while, so that
    the watcher may know but their beginnings.
    """

    folder: Path
    rng: random.Random
    settle_seconds: float
    good: dict[Path, tuple[int, ...]] = field(default_factory=dict)
    broken: set[Path] = field(default_factory=set)
    notes: dict[Path, str] = field(default_factory=dict)
    gone: set[tuple[int, ...]] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    excused: set[str] = field(default_factory=set)
    changes: dict[str, int] = field(default_factory=dict)
    _growing: list[Growing] = field(default_factory=list)
    _grown: set[Path] = field(default_factory=set)
    _next: int = 0

    def __post_init__(self) -> None:
        for name in ("", "calls", "calls/old", "Köln & Umgebung"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def change(self) -> None:
        """Do one thing of many."""
        self._grow()
        kinds = ["drop", "grow", "pause", "repeat", "move", "replace", "break", "mend", "remove",
                 "note", "twin"]  # fmt: skip
        kind = self.rng.choice(kinds if len(self.good) < _MANY_FILES else [*kinds, *["remove"] * 9])
        self.changes[kind] = self.changes.get(kind, 0) + 1
        getattr(self, f"_{kind}")()

    def finish(self) -> None:
        """Let all that grows be whole."""
        while self._growing:
            self._grow()
            time.sleep(0.1)

    def _drop(self) -> None:
        path = self._new_path()
        numbers, data = self._recording(path.suffix)
        self._put(path, data)
        self.good[path] = numbers

    def _grow(self, longest_pause: float = 0.5) -> None:
        if not self._growing or self.rng.random() < 0.3:
            self._begin_growing(0.05)
        for growing in [one for one in self._growing if one.next_at < time.monotonic()]:
            size = self.rng.randrange(4_000, 40_000)
            with growing.path.open("ab") as file:
                file.write(growing.rest[:size])
            growing.rest = growing.rest[size:]
            growing.next_at = time.monotonic() + self.rng.uniform(0, longest_pause)
            if not growing.rest:
                self._growing.remove(growing)
                self._grown.add(growing.path)
                self.good[growing.path] = growing.numbers

    def _pause(self) -> None:
        """Begin a file that then stays as it is for longer than the watcher waits."""
        self._begin_growing(self.settle_seconds * self.rng.uniform(1.5, 6))

    def _begin_growing(self, pause_seconds: float) -> None:
        if len(self._growing) > 5:
            return
        path = self._new_path(".wav")
        numbers, data = self._recording(".wav")
        size = self.rng.randrange(len(data))
        path.write_bytes(data[:size])
        self._growing.append(Growing(path, data[size:], numbers, time.monotonic() + pause_seconds))

    def _repeat(self) -> None:
        if (source := self._any_good()) is not None:
            path = self._new_path(source.suffix)
            self._put(path, source.read_bytes())
            self.good[path] = self.good[source]

    def _move(self) -> None:
        if (source := self._any_good()) is not None:
            path = self._new_path(source.suffix)
            source.rename(path)
            self._excuse(source, self.good[source])
            self.good[path] = self.good.pop(source)

    def _replace(self) -> None:
        """Record anew under the same name."""
        if (path := self._any_good()) is not None:
            self.gone.add(self.good[path])  # a copy's transcript may have stayed
            self._excuse(path, self.good[path])
            numbers, data = self._recording(path.suffix)
            self._put(path, data)
            self.good[path] = numbers

    def _break(self) -> None:
        path = self._new_path(self.rng.choice([".wav", ".mp3", ".flac", ".m4a"]))
        data = self.rng.choice([b"", self.rng.randbytes(3_000), b"RIFF\0\0\0\0WAVE", b"ID3" * 50])
        self._put(path, data)
        self.broken.add(path)

    def _mend(self) -> None:
        if self.broken:
            path = self.rng.choice(sorted(self.broken))
            self.broken.remove(path)
            self.good[path], data = self._recording(".wav")
            self._put(path, data)

    def _remove(self) -> None:
        if (path := self._any_good()) is not None:
            self._excuse(path, self.good[path])
            self.gone.add(self.good.pop(path))
            path.unlink()

    def _note(self) -> None:
        """Write a text where the next recording's transcript would be."""
        path = self._new_path(".wav")
        note = path.with_suffix(".txt")
        self.notes[note] = f"My own words, {self.rng.random()}"
        note.write_text(self.notes[note])
        numbers, data = self._recording(".wav")
        self._put(path, data)
        self.good[path] = numbers

    def _twin(self) -> None:
        """Put a recording beside another of the same name and another kind."""
        source = self._any_good()
        if source is None or source.suffix not in (".wav", ".flac"):
            return
        path = source.with_suffix(".flac" if source.suffix == ".wav" else ".wav")
        if not path.exists():
            numbers, data = self._recording(path.suffix)
            self._put(path, data)
            self.good[path] = numbers

    def _excuse(self, path: Path, numbers: tuple[int, ...]) -> None:
        if path in self._grown:
            self.excused.add(str(path.relative_to(self.folder)))
            self.gone.update(numbers[:count] for count in range(len(numbers)))

    def _any_good(self) -> Path | None:
        return self.rng.choice(sorted(self.good)) if self.good else None

    def _new_path(self, suffix: str | None = None) -> Path:
        self._next += 1
        folder = self.rng.choice(["", "calls", "calls/old", "Köln & Umgebung"])
        name = self.rng.choice(["talk", "Anruf größer", "a.b.c", "note [1]"])
        suffix = suffix or self.rng.choice([".wav", ".flac"])
        return self.folder / folder / f"{name} {self._next}{suffix}"

    def _put(self, path: Path, data: bytes) -> None:
        """Write a file aside and move it to its place."""
        draft = self.folder.parent / "draft"
        draft.write_bytes(data)
        draft.replace(path)

    def _recording(self, suffix: str) -> tuple[tuple[int, ...], bytes]:
        first = self._next * _MAX_SECONDS % (barcode.LARGEST_NUMBER - _MAX_SECONDS)
        self._next += 1
        numbers = tuple(first + at for at in range(self.rng.randrange(1, _MAX_SECONDS)))
        samples = np.concatenate([barcode.encode(number) for number in numbers])
        data = _flac(samples) if suffix == ".flac" else _wav(samples)
        self.seen.add(hashlib.sha256(data).hexdigest())
        return numbers, data


def _wav(samples: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
    return buffer.getvalue()


def _flac(samples: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="flac") as output:
        stream = output.add_stream("flac", rate=SAMPLE_RATE)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return buffer.getvalue()
