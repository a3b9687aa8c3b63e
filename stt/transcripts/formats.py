"""Transcripts as txt, srt, vtt, json and tsv: pure functions from segments to pieces of text.

Every writer streams: it calls `cues` for a fresh iterator for each pass, and never holds the
transcript. What is not transcribed yet is a Gap among the segments. Each format marks it in a valid
way: a line in txt, a cue in srt (which has no comments), a NOTE in vtt, a row in tsv, `partial` and
`missing_chunks` in json. Chunks that are transcribed again have their earlier text until then; txt
and vtt say so at the top, and json in `earlier_chunks`.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from math import isfinite
from typing import Protocol

from stt.domain.transcript import Segment, Task, Word
from stt.transcripts.cue_splitting import DEFAULT_LIMITS, CueLimits
from stt.transcripts.cues import (
    VTT_HEADER,
    CueTimes,
    Subtitle,
    clock,
    milliseconds,
    one_line,
    srt_cue,
    vtt_cue,
)
from stt.transcripts.sentences import SentenceLines
from stt.transcripts.subtitles import Subtitles

NOT_TRANSCRIBED = "[not transcribed]"


@dataclass(frozen=True, slots=True)
class Gap:
    """A part of the recording without a transcript, in seconds from the recording's start."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class TranscriptHeader:
    """What is known of a transcript before its first segment.

    `duration`: of the recording, in seconds. `language`: the code of the one with the most speech;
    `model`: the one that transcribed most chunks; both are for json, and None where unknown. So
    are `task`, "translate" if the text is English whatever the language, `silent_speech_seconds`:
    speech that gave no text, and `path`: the recording's, below the folder that was given.
    `missing_chunks` are the indexes of the chunks without a transcript, `earlier_chunks` of those
    whose text is an earlier one because they are transcribed again; `is_growing` if more chunks are
    still being cut; `completed_at` is None while the transcript is partial.
    """

    book_id: str
    filename: str
    total_chunks: int
    completed_at: datetime | None = None
    missing_chunks: tuple[int, ...] = ()
    is_growing: bool = False
    duration: float | None = None
    language: str | None = None
    model: str | None = None
    task: Task = "transcribe"
    silent_speech_seconds: float = 0.0
    path: str | None = None
    earlier_chunks: tuple[int, ...] = ()

    @property
    def is_partial(self) -> bool:
        return bool(self.missing_chunks or self.earlier_chunks) or self.is_growing

    @property
    def partial_notice(self) -> str:
        """One line that says what is missing of a partial transcript."""
        reasons = []
        if self.missing_chunks:
            count, listed = len(self.missing_chunks), _ranges(self.missing_chunks)
            reasons.append(f"{count} of {self.total_chunks} chunks are missing ({listed})")
        if self.earlier_chunks:
            count, listed = len(self.earlier_chunks), _ranges(self.earlier_chunks)
            reasons.append(
                f"{count} of {self.total_chunks} chunks have their earlier text, the new one is"
                f" still to come ({listed})"
            )
        if self.is_growing:
            reasons.append("the recording is still being ingested")
        return "Partial transcript: " + "; ".join(reasons)


Cue = Segment | Gap
Cues = Callable[[], Iterable[Cue]]


class Writer(Protocol):
    """Yields the pieces of a transcript in one format; `limits` matter to srt and vtt only."""

    def __call__(
        self, header: TranscriptHeader, cues: Cues, limits: CueLimits = DEFAULT_LIMITS, /
    ) -> Iterator[str]: ...


def txt(header: TranscriptHeader, cues: Cues, _limits: CueLimits = DEFAULT_LIMITS) -> Iterator[str]:
    """Write a line for each sentence; what is missing in square brackets."""
    if header.is_partial:
        yield f"[{header.partial_notice}]\n"
    lines = SentenceLines()
    for cue in chain(cues(), [None]):
        if isinstance(cue, Segment):
            yield from map(_ended, lines.add(cue))
            continue
        yield from map(_ended, lines.flush())
        if cue is not None:
            start, end = (clock(milliseconds(t), ".") for t in (cue.start, cue.end))
            yield f"[not transcribed: {start} to {end}]\n"


def srt(_header: TranscriptHeader, cues: Cues, limits: CueLimits = DEFAULT_LIMITS) -> Iterator[str]:
    """Write SubRip. It has no comments, so what is missing is a cue of its own."""
    subtitles = Subtitles(limits)
    finished = chain.from_iterable(_finished(subtitles, cue) for cue in chain(cues(), [None]))
    for number, subtitle in enumerate(finished, start=1):
        yield srt_cue(number, subtitle)


def vtt(header: TranscriptHeader, cues: Cues, limits: CueLimits = DEFAULT_LIMITS) -> Iterator[str]:
    """Write WebVTT; what is missing stands in NOTEs, which players do not show."""
    yield VTT_HEADER
    if header.is_partial:
        yield f"NOTE {header.partial_notice}\n\n"
    subtitles = Subtitles(limits)
    for cue in chain(cues(), [None]):
        if isinstance(cue, Gap):
            yield from map(vtt_cue, subtitles.flush())
            start, end = (clock(milliseconds(time), ".") for time in (cue.start, cue.end))
            yield f"NOTE not transcribed: {start} to {end}\n\n"
        else:
            yield from map(vtt_cue, _finished(subtitles, cue))


def tsv(header: TranscriptHeader, cues: Cues, _limits: CueLimits = DEFAULT_LIMITS) -> Iterator[str]:
    """Write Whisper's tab-separated form: start and end in whole milliseconds."""
    yield "start\tend\ttext\n"
    for start, end, cue in _cues(cues()):
        text = NOT_TRANSCRIBED if isinstance(cue, Gap) else one_line(cue.text)
        yield f"{start}\t{end}\t{text}\n"


def json_(
    header: TranscriptHeader, cues: Cues, _limits: CueLimits = DEFAULT_LIMITS
) -> Iterator[str]:
    """Write one object, in two passes: first its `segments`, then `full_text`.

    Segments have `channel` where channels were transcribed one by one, `speaker` and `language`
    where they are
    known, and `words` where they are stored. At the end follow `task` of a translation,
    `silent_speech_seconds` if there is such speech, for a partial transcript `partial: true` and
    `missing_chunks`, and `earlier_chunks` where some are being transcribed again.
    """
    yield "{"
    for name, value in {
        "book_id": header.book_id,
        "filename": header.filename,
        **({"path": header.path} if header.path else {}),
        "completed_at": header.completed_at.isoformat() if header.completed_at else None,
        "total_chunks": header.total_chunks,
        "language": header.language,
        "model": header.model,
        "duration": header.duration,
    }.items():
        yield f'\n"{name}": {_quoted(value)},'
    yield '\n"segments": ['
    separator = "\n"
    for start, end, segment in _spoken(cues()):
        timed: dict[str, object] = {
            "start": start / 1000,
            "end": end / 1000,
            "text": one_line(segment.text),
        }
        if segment.channel is not None:
            timed["channel"] = segment.channel
        if segment.speaker:
            timed["speaker"] = segment.speaker
        if segment.language:
            timed["language"] = segment.language
        if segment.words:
            timed["words"] = list(map(_word, segment.words))
        yield f"{separator}{_quoted(timed)}"
        separator = ",\n"
    yield '\n],\n"full_text": "'
    separator = ""
    for _, _, segment in _spoken(cues()):
        yield f"{separator}{_quoted(one_line(segment.text))[1:-1]}"
        separator = " "
    yield '"'
    if header.task != "transcribe":
        yield f',\n"task": {_quoted(header.task)}'
    if header.silent_speech_seconds:
        yield f',\n"silent_speech_seconds": {header.silent_speech_seconds}'
    if header.is_partial:
        yield f',\n"partial": true,\n"missing_chunks": {_quoted(header.missing_chunks)}'
    if header.earlier_chunks:
        yield f',\n"earlier_chunks": {_quoted(header.earlier_chunks)}'
    yield "\n}\n"


WRITERS: Mapping[str, Writer] = {"txt": txt, "srt": srt, "vtt": vtt, "json": json_, "tsv": tsv}


def _ended(line: str) -> str:
    return f"{line}\n"


def _finished(subtitles: Subtitles, cue: Cue | None) -> Iterator[Subtitle]:
    """Yield the subtitles that are final when `cue` follows, None at the end."""
    if cue is None:
        yield from subtitles.flush()
    elif isinstance(cue, Gap):
        start, end = milliseconds(cue.start), milliseconds(cue.end)
        yield from subtitles.add_cue(Subtitle(start, end, NOT_TRANSCRIBED))
    else:
        yield from subtitles.add(cue)


def _spoken(cues: Iterable[Cue]) -> Iterator[tuple[int, int, Segment]]:
    for start, end, cue in _cues(cues):
        if isinstance(cue, Segment):
            yield start, end, cue


def _word(word: Word) -> dict[str, object]:
    """Return a word as the whisper server's `verbose_json` has it."""
    start, end = (milliseconds(time) / 1000 for time in (word.start, word.end))
    found: dict[str, object] = {"word": word.word, "start": start, "end": end}
    if isinstance(word.probability, float | int) and isfinite(word.probability):
        found["probability"] = word.probability
    return found


def _cues(cues: Iterable[Cue]) -> Iterator[tuple[int, int, Cue]]:
    """Yield start and end in milliseconds, in order of time; leave out segments without text."""
    times = CueTimes()
    for cue in cues:
        if isinstance(cue, Gap) or one_line(cue.text):
            yield *times.place(cue.start, cue.end), cue


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _ranges(indexes: Iterable[int]) -> str:
    """Return the indexes as `0, 4-6, 9`, shortened where there are many."""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and index == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], index]
        else:
            runs.append([index])
    shown = ["-".join(map(str, run)) for run in runs[:10]]
    return ", ".join(shown + (["…"] if len(runs) > len(shown) else []))
