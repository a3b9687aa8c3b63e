"""The speakers of one recording, found while it is read."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

import numpy as np

from stt.media.samples import Samples as Pcm
from stt.transcripts.speakers import Voice, join_voices, mean_voice
from whisper_server.engines.base import SAMPLE_RATE
from whisper_server.speakers.diarizer import Diarizer
from whisper_server.speakers.turns import PieceSpeakers

PIECE_SECONDS = 300.0
"""A long recording is diarized in such pieces, so that its samples need not be kept."""
TAIL_SECONDS = 60.0
"""The last piece is no shorter, but for a recording that is: of a few seconds voices are unsure."""

logger = logging.getLogger(__name__)


class SpeakerTrack:
    """Takes the samples of a recording in order, then returns its speakers."""

    def __init__(self, diarizer: Diarizer) -> None:
        self._diarizer = diarizer
        self._blocks: list[Pcm] = []
        self._count = 0
        self._pieces: list[tuple[float, Future[PieceSpeakers]]] = []
        self._start = 0.0

    def add(self, block: Pcm) -> None:
        """Take the next samples; whole pieces are diarized while the rest is read."""
        self._blocks.append(block)
        self._count += len(block)
        if self._count >= (PIECE_SECONDS + TAIL_SECONDS) * SAMPLE_RATE:
            self._submit(int(PIECE_SECONDS * SAMPLE_RATE))

    async def result(self) -> PieceSpeakers:
        """Return the speakers once all samples were taken; raise what diarizing raises."""
        self._submit(self._count)
        found = await asyncio.gather(*(asyncio.wrap_future(future) for _, future in self._pieces))
        return joined([(start, each) for (start, _), each in zip(self._pieces, found, strict=True)])

    def cancel(self) -> None:
        """Drop what has not begun."""
        self._blocks.clear()
        for _, future in self._pieces:
            future.cancel()

    def _submit(self, count: int) -> None:
        samples = np.concatenate(self._blocks) if self._blocks else np.zeros(0, np.int16)
        self._pieces.append((self._start, self._diarizer.find(samples[:count])))
        self._start += count / SAMPLE_RATE
        self._blocks = [samples[count:].copy()]
        self._count = len(self._blocks[0])


def joined(pieces: Sequence[tuple[float, PieceSpeakers]]) -> PieceSpeakers:
    """Return the speakers of a recording from those of its pieces and where each piece starts.

    A voice that is too short to judge has no turns.
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
