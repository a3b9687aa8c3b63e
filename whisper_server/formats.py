"""Transcripts in the formats that a client may ask for, whole or piece by piece. Pure."""

from collections.abc import Sequence

from pydantic import BaseModel
from starlette.responses import Response

from stt.transcripts.cues import VTT_HEADER, CueTimes, one_line, srt_cue, vtt_cue
from whisper_server.engines.base import Segment, Task, Transcription
from whisper_server.forms import AudioForm, RecordingForm, ResponseFormat
from whisper_server.schemas import RecordingOut, TextOut, VerboseOut

JSON_TYPE = "application/json"


def render(found: Transcription, form: AudioForm | RecordingForm, task: Task) -> Response:
    """Return the transcript as the form asks for it.

    Hours of words take a while: not for the event loop.
    """
    if isinstance(form, RecordingForm):
        json: BaseModel = RecordingOut.of(found, words=form.wants_words())
    elif form.response_format == "verbose_json":
        segments, words = form.wants_segments(), form.wants_words()
        json = VerboseOut.of(task, found, segments=segments, words=words)
    elif form.response_format == "json":
        json = TextOut(text=found.text)
    elif form.response_format == "text":
        return Response(found.text + "\n", media_type="text/plain; charset=utf-8")
    else:
        growing = GrowingText(form.response_format)
        text = growing.add(found.segments) + growing.end()
        kind = "vtt" if form.response_format == "vtt" else "plain"
        return Response(text, media_type=f"text/{kind}; charset=utf-8")
    return Response(as_json(json), media_type=JSON_TYPE)


def as_json(model: BaseModel) -> str:
    """Return JSON without the fields that are None: those that were not requested."""
    return model.model_dump_json(exclude_none=True)


class GrowingText:
    """A transcript in `response_format`, piece by piece: the pieces joined are the whole.

    The JSON formats grow as their text does. `whole` is what has been returned so far.
    """

    def __init__(self, response_format: ResponseFormat) -> None:
        self._format = response_format
        self._times = CueTimes()
        self._cue_count = 0
        self._spoken = ""
        self.whole = ""

    def add(self, segments: Sequence[Segment]) -> str:
        """Return what `segments` add; empty when they add nothing yet."""
        if self._format in {"srt", "vtt"}:
            return self._grown("".join(map(self._cue, segments)))
        self._spoken += "".join(segment.text for segment in segments)
        # The whole has no white space at either end.
        return self._grown(self._spoken.strip()[len(self.whole) :])

    def end(self) -> str:
        """Return what is still missing: the header of a file without cues."""
        return self._grown(VTT_HEADER if self._format == "vtt" and not self._cue_count else "")

    def _grown(self, text: str) -> str:
        self.whole += text
        return text

    def _cue(self, segment: Segment) -> str:
        """Return the segment as one line of text, with its times; nothing if it has no text."""
        text = one_line(segment.text)
        if not text:
            return ""
        start, end = self._times.place(segment.start, segment.end)
        self._cue_count += 1
        if self._format == "srt":
            return srt_cue(self._cue_count, start, end, text)
        return (VTT_HEADER if self._cue_count == 1 else "") + vtt_cue(start, end, text)
