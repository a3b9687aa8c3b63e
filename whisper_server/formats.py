"""Transcripts in the formats that a client may ask for, whole or as they grow. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from whisper_server.engines.base import Segment, Task, Transcription
from whisper_server.forms import AudioForm
from whisper_server.schemas import TextOut, VerboseOut

JSON_TYPE = "application/json"
MEDIA_TYPES = {
    "json": JSON_TYPE,
    "verbose_json": JSON_TYPE,
    "text": "text/plain; charset=utf-8",
    "srt": "text/plain; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}
VTT_HEADER = "WEBVTT\n\n"


@dataclass(frozen=True)
class Rendered:
    """A body that is ready to be sent."""

    body: bytes
    media_type: str


def render(found: Transcription, form: AudioForm, task: Task) -> Rendered:
    """In the form's `response_format`. Hours of words take a while: not for the event loop."""
    if form.response_format == "verbose_json":
        segments, words = form.wants_segments(), form.wants_words()
        text = as_json(VerboseOut.of(task, found, segments=segments, words=words))
    elif form.response_format == "json":
        text = as_json(TextOut(text=found.text))
    elif form.response_format == "srt":
        text = as_srt(found.segments)
    elif form.response_format == "vtt":
        text = as_vtt(found.segments)
    else:
        text = as_text(found)
    return Rendered(text.encode(), MEDIA_TYPES[form.response_format])


def as_json(model: BaseModel) -> str:
    """What was not asked for is left out, not null."""
    return model.model_dump_json(exclude_none=True)


def as_text(transcription: Transcription) -> str:
    return transcription.text + "\n"


def as_srt(segments: Iterable[Segment]) -> str:
    """SubRip: numbered cues, comma before the milliseconds."""
    return "".join(_srt_cue(number, segment) for number, segment in enumerate(segments, start=1))


def as_vtt(segments: Iterable[Segment]) -> str:
    """WebVTT (w3.org/TR/webvtt1): `&`, `<` and `>` escaped."""
    return VTT_HEADER + "".join(_vtt_cue(segment) for segment in segments)


class GrowingText:
    """A transcript in `response_format`, piece by piece: the pieces joined are the whole.

    The JSON formats grow as their text does.
    """

    def __init__(self, response_format: str) -> None:
        self._format = response_format
        self._cues = 0
        self._begun = False
        self._held_back = ""

    def add(self, segments: Sequence[Segment]) -> str:
        """What `segments` add; empty when they add nothing yet."""
        if self._format == "srt":
            first = self._cues + 1
            self._cues += len(segments)
            return "".join(_srt_cue(number, one) for number, one in enumerate(segments, first))
        if self._format == "vtt":
            header = "" if self._begun else VTT_HEADER
            self._begun = self._begun or bool(segments)
            return header + "".join(map(_vtt_cue, segments)) if segments else ""
        return self._add_text("".join(segment.text for segment in segments))

    def end(self) -> str:
        """What is still missing: the header of a file without cues."""
        return VTT_HEADER if self._format == "vtt" and not self._begun else ""

    def _add_text(self, text: str) -> str:
        """The text as a whole has no white space at either end: hold it back until more comes."""
        text = self._held_back + text
        text = text if self._begun else text.lstrip()
        said = text.rstrip()
        self._held_back = text[len(said) :]
        self._begun = self._begun or bool(said)
        return said


def _srt_cue(number: int, segment: Segment) -> str:
    times = f"{_clock(segment.start, ',')} --> {_clock(segment.end, ',')}"
    return f"{number}\n{times}\n{_cue_text(segment)}\n\n"


def _vtt_cue(segment: Segment) -> str:
    times = f"{_clock(segment.start, '.')} --> {_clock(segment.end, '.')}"
    return f"{times}\n{_escaped(_cue_text(segment))}\n\n"


def _cue_text(segment: Segment) -> str:
    """One line: an arrow or an empty line in it would break the cue."""
    return " ".join(segment.text.split()).replace("-->", "->")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(seconds: float, decimal_mark: str) -> str:
    milliseconds = round(seconds * 1000)
    hours, milliseconds = divmod(milliseconds, 3_600_000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    whole, milliseconds = divmod(milliseconds, 1000)
    return f"{hours:02d}:{minutes:02d}:{whole:02d}{decimal_mark}{milliseconds:03d}"
