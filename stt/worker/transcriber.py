"""One run of chunks: load its audio, join it, have it transcribed, split the result again."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stt.domain.claim import Claim, Recordings, Step
from stt.domain.transcript import Transcript
from stt.errors import (
    AudioNotAllowed,
    BadAudio,
    CannotTranslate,
    ChunkError,
    ClaimLost,
    DatabaseRefused,
    ServerDied,
    SttError,
)
from stt.media.audio import SAMPLE_RATE, Samples, decode, encode_flac
from stt.media.samples import decibels
from stt.settings import Settings
from stt.whisper.client import Upload
from stt.whisper.pool import Call, ServerPool
from stt.worker.transcript_splitting import split, with_own_speakers, without_words

logger = logging.getLogger(__name__)

_NO_SAMPLES: Samples = np.zeros(0, np.int16)
_BORDER = SAMPLE_RATE // 10
_PAUSE_DB = 20.0
"""A border that is so much quieter than its chunk lies in a pause."""
_SHORT_RUN_SECONDS = 60.0

Outcome = Transcript | ChunkError | AudioNotAllowed
"""How a chunk ended: with its transcript, with the failure that counts against it, or not at all,
because this worker may not read its audio."""


@dataclass(frozen=True, slots=True)
class DecodedChunk:
    """A claimed chunk with its samples, and the bytes that it was stored as."""

    claim: Claim
    samples: Samples
    encoded: bytes

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


class Transcriber:
    """Turns claims into outcomes. Safe between threads; changes nothing in the queue."""

    def __init__(self, recordings: Recordings, pool: ServerPool, settings: Settings) -> None:
        self._recordings = recordings
        self._pool = pool
        self._call_seconds = settings.chunk_timeout_seconds
        self._keeps_words = settings.word_timestamps
        self._border_samples = round(settings.border_seconds * SAMPLE_RATE)
        self._prompt, self._hotwords = settings.prompt, settings.hotwords

    def transcribe(
        self, claims: Sequence[Claim], may_start: Callable[[Sequence[Claim]], bool]
    ) -> Iterator[tuple[Claim, Outcome]]:
        """Yield each claim with its outcome, as soon as it is known.

        `may_start` is called with the claims before each call, and while one waits to begin; those
        that it stops are left out. When a joined run fails, its chunks are tried again one by one,
        so that none is charged for another; when a server died of it, each ends as ServerDied, and
        the caller isolates them. Raises what `ServerPool.transcribe` raises but for ChunkError;
        claims that were not yielded by then are still open.
        """
        # Load all of them first, so that a broken chunk is known before anything is sent.
        loaded = [(claim, self._load(claim)) for claim in claims]
        yield from (
            (claim, chunk) for claim, chunk in loaded if not isinstance(chunk, DecodedChunk | None)
        )
        chunks = [chunk for _, chunk in loaded if isinstance(chunk, DecodedChunk)]
        if chunks:
            yield from self._transcribe(chunks, may_start)

    def _load(self, claim: Claim) -> DecodedChunk | Outcome | None:
        """Fetch and decode the audio; return the outcome of a chunk that needs no call.

        Return None if the claim is lost.
        """
        if claim.chunk.has_speech is False:
            recording = self._recordings.of(claim)
            asks_for_speakers = recording is not None and recording.speakers is not None
            return Transcript(speakers=() if asks_for_speakers else None)
        try:
            encoded = self._recordings.audio(claim)
            decoded = DecodedChunk(claim, self._decode(claim, encoded), encoded)
        except ClaimLost as lost:  # a coordinator sends audio to the claim's holder only
            logger.warning("%s", lost, extra=claim.chunk.log_fields)
            return None
        # Of the second its document cannot be read.
        except (BadAudio, DatabaseRefused, AudioNotAllowed) as error:
            return error
        if claim.chunk.duration is None:  # written by another program
            claim.chunk = replace(claim.chunk, duration=decoded.seconds)
        return decoded

    def _decode(self, claim: Claim, encoded: bytes) -> Samples:
        """Decode a chunk. Raises BadAudio, for what no decoder is known to raise as well."""
        try:
            return decode(encoded)
        except SttError:
            raise
        except Exception as error:
            logger.exception("chunk %s", claim.chunk.id, extra=claim.chunk.log_fields)
            raise BadAudio(f"decoding failed: {type(error).__name__}") from error

    def _transcribe(
        self,
        chunks: Sequence[DecodedChunk],
        may_start: Callable[[Sequence[Claim]], bool],
        *,
        alone: bool = False,
    ) -> Iterator[tuple[Claim, Outcome]]:
        """Yield each chunk's outcome; `alone`: without what is beside it, which may be at fault."""
        before, after = (_NO_SAMPLES, _NO_SAMPLES) if alone else self._context(chunks)
        try:
            transcripts = self._call(chunks, before, after, may_start)
        except ChunkError as error:
            can_be_split = len(chunks) > 1 or len(before) or len(after)
            if not can_be_split or isinstance(error, (ServerDied, CannotTranslate)):
                yield from ((chunk.claim, error) for chunk in chunks)
                return
            count = len(chunks)
            logger.warning("a sequence of %d chunks failed, each is tried alone: %s", count, error)
            for at, chunk in enumerate(chunks):
                may_start([c.claim for c in chunks[at:]])  # their time in work starts anew
                yield from self._transcribe([chunk], may_start, alone=True)
            return
        for chunk, part in zip(chunks, transcripts or (), strict=bool(transcripts)):
            yield chunk.claim, part if self._keeps_words else without_words(part)

    def _call(
        self,
        chunks: Sequence[DecodedChunk],
        before: Samples,
        after: Samples,
        may_start: Callable[[Sequence[Claim]], bool],
    ) -> list[Transcript] | None:
        """Return the transcript of each chunk; None if `may_start` has stopped the call."""
        recording = self._recordings.of(chunks[0].claim)
        borders = [[piece] if len(piece) else [] for piece in (before, after)]
        pieces = [*borders[0], *(chunk.samples for chunk in chunks), *borders[1]]
        is_alone = len(pieces) == 1
        if is_alone:  # sent as it is stored
            data, format_ = chunks[0].encoded, chunks[0].claim.chunk.format or ""
            filename = f"chunk.{format_ if format_.isalnum() else 'ogg'}"
        else:  # as FLAC, which is lossless and cheap, and which every server reads
            data = encode_flac(np.concatenate(pieces))
            filename = "sequence.flac"
        durations = [len(piece) / SAMPLE_RATE for piece in pieces]
        upload = Upload(
            data=data,
            filename=filename,
            seconds=sum(durations),
            language=recording.language if recording else None,
            prompt=(recording and recording.prompt) or self._prompt,
            wants_words=self._keeps_words or not is_alone,
            model=recording.model if recording else None,
            hotwords=(recording and recording.hotwords) or self._hotwords,
            task=recording.task if recording else "transcribe",
            wants_speakers=recording is not None and recording.speakers is not None,
        )
        claims = [chunk.claim for chunk in chunks]
        failed_on = frozenset[str]().union(*(claim.chunk.failed_on for claim in claims))
        isolated = any(claim.chunk.isolated for claim in claims)
        transcript = self._pool.transcribe(
            Call(upload, self._call_seconds, lambda: may_start(claims), failed_on, isolated)
        )
        if transcript is None:
            return None
        first = len(borders[0])
        return split(with_own_speakers(transcript), durations)[first : first + len(chunks)]

    def _context(self, chunks: Sequence[DecodedChunk]) -> tuple[Samples, Samples]:
        """Return audio before and after a run: what is cut in two at its border is whole with it.

        Empty where the border lies in a pause, unless the run is short and its language unknown:
        then what is around it says which. Empty for chunks that failed before.
        """
        recording = self._recordings.of(chunks[0].claim)
        is_short = sum(chunk.seconds for chunk in chunks) < _SHORT_RUN_SECONDS
        always = is_short and not (recording and recording.language)
        first, last = chunks[0], chunks[-1]
        has_failed = first.claim.chunk.has_failed_before or last.claim.chunk.has_failed_before
        if has_failed or not self._border_samples:
            return _NO_SAMPLES, _NO_SAMPLES
        needs_before = always or _is_loud(first.samples[:_BORDER], first.samples)
        needs_after = always or _is_loud(last.samples[-_BORDER:], last.samples)
        return (
            self._neighbour(first, -1)[-self._border_samples :] if needs_before else _NO_SAMPLES,
            self._neighbour(last, 1)[: self._border_samples] if needs_after else _NO_SAMPLES,
        )

    def _neighbour(self, chunk: DecodedChunk, step: Step) -> Samples:
        """Return the samples of the chunk beside one; empty if it cannot be read or decoded."""
        try:
            encoded = self._recordings.neighbour_audio(chunk.claim, step)
            return self._decode(chunk.claim, encoded) if encoded else _NO_SAMPLES
        except (BadAudio, DatabaseRefused, AudioNotAllowed):  # its own claim will report it
            return _NO_SAMPLES


def _is_loud(border: Samples, samples: Samples) -> bool:
    """Return whether the border of a chunk lies within speech and not in a pause."""
    return decibels(border) > decibels(samples) - _PAUSE_DB
