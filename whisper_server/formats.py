"""Transcripts in the formats that a client may ask for, whole or piece by piece. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain

from pydantic import BaseModel
from starlette.responses import Response

from stt.transcripts.cue_splitting import DEFAULT_LIMITS, CueLimits
from stt.transcripts.cues import VTT_HEADER, Subtitle, one_line, srt_cue, vtt_cue
from stt.transcripts.subtitles import Subtitles
from whisper_server.engines.base import Segment, Task, Transcription
from whisper_server.forms import AudioForm, RecordingForm, ResponseFormat
from whisper_server.schemas import DiarizedOut, RecordingOut, TextOut, VerboseOut

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
    elif form.response_format == "diarized_json":
        json = DiarizedOut.of(task, found)
    elif form.response_format == "json":
        json = TextOut(text=found.text)
    elif form.response_format == "text":
        return Response(found.text + "\n", media_type="text/plain; charset=utf-8")
    else:
        growing = GrowingText(form.response_format, form.cue_limits())
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

    def __init__(self, response_format: ResponseFormat, limits: CueLimits = DEFAULT_LIMITS) -> None:
        self._format = response_format
        self._subtitles = Subtitles(limits)
        self._cue_count = 0
        self._spoken = ""
        self.whole = ""

    def add(self, segments: Sequence[Segment]) -> str:
        """Return what `segments` add; empty when they add nothing yet.

        A cue comes when the next one is known, which bounds its time.
        """
        if self._format in {"srt", "vtt"}:
            plain = (replace(segment, text=one_line(segment.text)) for segment in segments)
            return self._grown(self._written(chain.from_iterable(map(self._subtitles.add, plain))))
        self._spoken += "".join(segment.text for segment in segments)
        # The whole has no white space at either end.
        return self._grown(self._spoken.strip()[len(self.whole) :])

    def end(self) -> str:
        """Return what is still missing: the last cue, and the header of a file without cues."""
        rest = self._written(self._subtitles.flush())
        return self._grown(rest if rest or self.whole or self._format != "vtt" else VTT_HEADER)

    def _grown(self, text: str) -> str:
        self.whole += text
        return text

    def _written(self, cues: Iterable[Subtitle]) -> str:
        text = ""
        for cue in cues:
            self._cue_count += 1
            text += srt_cue(self._cue_count, cue) if self._format == "srt" else vtt_cue(cue)
        is_first = self._format == "vtt" and text and not self.whole
        return VTT_HEADER + text if is_first else text
