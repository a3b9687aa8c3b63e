"""Give the words of a transcript to the speakers of the recording. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise

from stt.transcripts.speakers import speaker_letter
from whisper_server.engines.base import Segment, Speaker, Transcription, Word
from whisper_server.speakers.turns import PieceSpeakers, Turn

MAX_DISTANCE_SECONDS = 0.5
"""A word so near to a turn belongs to it: the times of words are no more exact."""


def with_speakers(found: Transcription, speakers: PieceSpeakers) -> Transcription:
    """Return the transcript with `speakers`, its segments cut where the speaker changes.

    A segment without a turn in it or near it has no speaker.
    """
    turns = _Turns(speakers.turns)
    segments = [part for segment in found.segments for part in _parts(segment, turns)]
    spoken = {segment.speaker for segment in segments}
    listed = tuple(
        Speaker(name, voice.seconds, voice.embedding)
        for number, voice in enumerate(speakers.voices)
        if (name := speaker_letter(number)) in spoken
    )
    return replace(found, segments=tuple(segments), speakers=listed)


class _Turns:
    """Finds the speaker of a time span; spans are asked for in about the order of time."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self._turns = turns
        self._first = 0

    def speaker(self, start: float, end: float) -> str | None:
        """Return the speaker with the largest share of a span, else the one nearest to it."""
        shares: dict[int, float] = {}
        nearest: tuple[float, int] | None = None
        for turn in self._near(start, end):
            overlap = min(end, turn.end) - max(start, turn.start)
            if overlap > 0:
                shares[turn.speaker] = shares.get(turn.speaker, 0.0) + overlap
            elif nearest is None or -overlap < nearest[0]:
                nearest = -overlap, turn.speaker
        if shares:
            return speaker_letter(max(shares, key=lambda number: shares[number]))
        return speaker_letter(nearest[1]) if nearest else None

    def _near(self, start: float, end: float) -> Iterator[Turn]:
        while (
            self._first < len(self._turns)
            and self._turns[self._first].end < start - 2 * MAX_DISTANCE_SECONDS
        ):
            self._first += 1
        for turn in self._turns[max(0, self._first - 1) :]:
            if turn.start > end + MAX_DISTANCE_SECONDS:
                return
            if turn.end >= start - MAX_DISTANCE_SECONDS:
                yield turn


def _parts(segment: Segment, turns: _Turns) -> Iterator[Segment]:
    """Yield a segment's stretches of one speaker; words that are near no turn go with the last."""
    if not segment.words:
        yield replace(segment, speaker=turns.speaker(segment.start, segment.end))
        return
    speakers = [turns.speaker(word.start, word.end) for word in segment.words]
    known = next((speaker for speaker in speakers if speaker), None)
    labelled: list[tuple[str | None, Word]] = []
    for speaker, word in zip(speakers, segment.words, strict=True):
        known = speaker or known
        labelled.append((known, word))
    stretches = [
        (speaker, tuple(word for _, word in group))
        for speaker, group in groupby(labelled, key=lambda pair: pair[0])
    ]
    if len(stretches) == 1:
        yield replace(segment, speaker=stretches[0][0])
        return
    texts = _texts(segment.text, [words for _, words in stretches])
    for (speaker, words), text in zip(stretches, texts, strict=True):
        yield replace(
            segment,
            start=words[0].start,
            end=words[-1].end,
            text=text,
            tokens=(),  # they are not known by word
            words=words,
            speaker=speaker,
        )


def _texts(text: str, stretches: Sequence[Sequence[Word]]) -> list[str]:
    """Cut a text behind the last word of each stretch; blanks stay before the word that follows."""
    borders, found = [0], 0
    for words in stretches:
        for word in words:
            at = text.find(word.word, found)
            found = max(found, at + len(word.word))
        borders.append(found)
    return [text[first:behind] for first, behind in pairwise([*borders[:-1], len(text)])]
