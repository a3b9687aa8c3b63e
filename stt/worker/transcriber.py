"""One sequence: load its audio, join it, have it transcribed, split the result over its chunks."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stt.domain.claim import Claim
from stt.domain.queue import Recordings
from stt.domain.transcript import Segment, Transcript
from stt.errors import BadAudio, ChunkError, ClaimLost, DatabaseRefused, ServerDied, SttError
from stt.media.audio import SAMPLE_RATE, Samples, decode, encode_flac
from stt.whisper.client import Upload
from stt.whisper.pool import ServerPool

logger = logging.getLogger(__name__)

Outcome = Transcript | ChunkError
"""How a chunk ended: with what was heard, or with the failure that counts against it."""


@dataclass(frozen=True, slots=True)
class DecodedChunk:
    """A claimed chunk with its decoded audio, and the bytes that it came in."""

    claim: Claim
    samples: Samples
    encoded: bytes

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A sequence ready to be sent: the parts to transcribe, and what is settled without a call."""

    parts: tuple[DecodedChunk, ...]
    settled: tuple[tuple[Claim, Outcome], ...]


class Transcriber:
    """Turns claims into outcomes. Safe between threads; changes nothing in the queue."""

    def __init__(
        self, recordings: Recordings, pool: ServerPool, call_seconds: float, *, keeps_words: bool
    ) -> None:
        self._recordings = recordings
        self._pool = pool
        self._call_seconds = call_seconds
        self._keeps_words = keeps_words

    def load(self, claims: Sequence[Claim]) -> PreparedRun:
        """Fetches and decodes, so that a broken chunk is known by name before anything is sent."""
        parts: list[DecodedChunk] = []
        settled: list[tuple[Claim, Outcome]] = []
        for claim in claims:
            if claim.chunk.has_speech is False:
                settled.append((claim, Transcript()))
                continue
            try:
                encoded = self._recordings.audio(claim.chunk)
                part = DecodedChunk(claim, decode(encoded), encoded)
            except ClaimLost as lost:  # a coordinator hands audio to the claim's holder alone
                logger.warning("%s", lost, extra=claim.chunk.log_fields)
                continue
            except (BadAudio, DatabaseRefused) as error:  # the latter: it cannot even be read
                settled.append((claim, error))
                continue
            except SttError:
                raise
            except Exception as error:  # a decoder's odd failure is this chunk's, not the worker's
                logger.exception("chunk %s", claim.chunk.id, extra=claim.chunk.log_fields)
                settled.append((claim, BadAudio(f"decoding failed: {type(error).__name__}")))
                continue
            if claim.chunk.duration is None:  # another program's: now it is known
                claim.chunk = replace(claim.chunk, duration=part.seconds)
            parts.append(part)
        return PreparedRun(tuple(parts), tuple(settled))

    def transcribe(
        self, load: PreparedRun, may_start: Callable[[Sequence[Claim]], bool]
    ) -> Iterator[tuple[Claim, Outcome]]:
        """Yields each claim with its outcome, as soon as it is known.

        `may_start` is asked before each call and told its claims; those that it stops are left
        out. When a joined sequence fails, its chunks are tried again one by one, so that none is
        charged for its neighbour; when a server died of it, each ends as ServerDied, and it is up
        to the caller to have them travel alone. Raises what `ServerPool.transcribe` raises but
        for ChunkError; claims not yielded by then are open.
        """
        yield from load.settled
        if not load.parts:
            return
        try:
            heard = self._call(load.parts, may_start)
        except ChunkError as error:
            if len(load.parts) == 1 or isinstance(error, ServerDied):
                yield from ((part.claim, error) for part in load.parts)
                return
            count = len(load.parts)
            logger.warning("a sequence of %d chunks failed, each is tried alone: %s", count, error)
            for at, part in enumerate(load.parts):
                may_start([p.claim for p in load.parts[at:]])  # their time in work starts anew
                yield from self.transcribe(PreparedRun((part,), ()), may_start)
            return
        if heard is not None:
            pieces = split(heard, [part.seconds for part in load.parts])
            for part, piece in zip(load.parts, pieces, strict=True):
                yield part.claim, piece if self._keeps_words else without_words(piece)

    def _call(
        self, parts: Sequence[DecodedChunk], may_start: Callable[[Sequence[Claim]], bool]
    ) -> Transcript | None:
        recording = self._recordings.of(parts[0].claim.chunk)
        data, filename = _joined(parts)
        upload = Upload(
            data=data,
            filename=filename,
            seconds=sum(part.seconds for part in parts),
            language=recording.language if recording else None,
            prompt=recording.prompt if recording else None,
            wants_words=self._keeps_words or len(parts) > 1,
            model=recording.model if recording else None,
        )
        claims = [part.claim for part in parts]
        failed_on = frozenset[str]().union(*(claim.chunk.failed_on for claim in claims))
        return self._pool.transcribe(
            upload,
            self._call_seconds,
            lambda: may_start(claims),
            failed_on,
            isolated=any(claim.chunk.isolated for claim in claims),
        )


def _joined(parts: Sequence[DecodedChunk]) -> tuple[bytes, str]:
    """One chunk travels as it is; several as FLAC: lossless, cheap, and every server reads it."""
    if len(parts) == 1:
        format_ = parts[0].claim.chunk.format or ""
        return parts[0].encoded, f"chunk.{format_ if format_.isalnum() else 'ogg'}"
    return encode_flac(np.concatenate([part.samples for part in parts])), "sequence.flac"


def split(heard: Transcript, durations: Sequence[float]) -> list[Transcript]:
    """Deals a transcript of joined audio to its parts of `durations` seconds, in their own times.

    A segment that spans a border is cut between two words where the server gave words; else it
    goes whole to the part that holds its middle.
    """
    ends = np.cumsum(durations)
    dealt: list[list[Segment]] = [[] for _ in durations]
    for segment in heard.segments:
        for piece in _cut(segment, ends):
            at = _part_at((piece.start + piece.end) / 2, ends)
            begin = float(ends[at] - durations[at])
            dealt[at].append(_clamped(piece.shifted(-begin), durations[at]))
    return [replace(heard, segments=tuple(segments)) for segments in dealt]


def without_words(transcript: Transcript) -> Transcript:
    return replace(transcript, segments=tuple(replace(s, words=()) for s in transcript.segments))


def _cut(segment: Segment, ends: "np.typing.NDArray[np.float64]") -> list[Segment]:
    """The segment as one piece for each part in which it has words."""
    homes = [_part_at((word.start + word.end) / 2, ends) for word in segment.words]
    if len(set(homes)) < 2:
        return [segment]
    pieces = []
    for home in sorted(set(homes)):
        words = tuple(w for w, at in zip(segment.words, homes, strict=True) if at == home)
        glue = "" if any(word.word.startswith(" ") for word in words) else " "
        text = glue.join(word.word for word in words).strip()
        pieces.append(
            replace(segment, start=words[0].start, end=words[-1].end, text=text, words=words)
        )
    return pieces


def _part_at(seconds: float, ends: "np.typing.NDArray[np.float64]") -> int:
    return min(int(np.searchsorted(ends, seconds, side="right")), len(ends) - 1)


def _clamped(segment: Segment, duration: float) -> Segment:
    start = min(max(segment.start, 0.0), duration)
    return replace(segment, start=start, end=min(max(segment.end, start), duration))
