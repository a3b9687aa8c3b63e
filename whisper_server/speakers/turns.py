"""Who speaks when in a piece of audio."""

from dataclasses import dataclass

from stt.transcripts.speakers import Voice


@dataclass(frozen=True, slots=True)
class Turn:
    """A stretch of speech of one speaker; seconds from the start of the audio.

    `speaker`: the speaker's number, from 0.
    """

    start: float
    end: float
    speaker: int


@dataclass(frozen=True, slots=True)
class PieceSpeakers:
    """The turns of a piece in order; none overlaps the next. `voices`: by the speaker's number."""

    turns: tuple[Turn, ...] = ()
    voices: tuple[Voice, ...] = ()
