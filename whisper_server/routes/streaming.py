"""Transcripts as server-sent events in OpenAI's form.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

from pydantic import BaseModel
from starlette.responses import StreamingResponse

from whisper_server.engines.base import Segment, Transcription
from whisper_server.errors import ApiError
from whisper_server.formats import GrowingText, as_json
from whisper_server.forms import AudioForm
from whisper_server.metrics import Metrics
from whisper_server.scheduler_state import OnProgress, Progress
from whisper_server.schemas import ErrorOut, LanguageOut, SegmentReady, TextDelta, TextDone

KEEP_ALIVE_SECONDS = 15.0
"""A comment is sent after so long without a segment: proxies close silent connections."""
STILL_AT_WORK = ": still at work\n\n"

Work = Callable[[OnProgress], Coroutine[Any, Any, Transcription]]
Updates = asyncio.Queue[Sequence[Segment] | None]

_running: set[asyncio.Task[Transcription]] = set()
"""The event loop itself does not keep its tasks alive."""


async def stream_transcript(
    work: Work, form: AudioForm, metrics: Metrics, warnings: Sequence[str] = ()
) -> StreamingResponse:
    """Return a response that grows with the transcript.

    It begins with the first segment, so what `work` raises before that is raised here, and gets
    a status of its own; but at the latest after `KEEP_ALIVE_SECONDS`, since a client in a long
    queue must see that the server is alive. `work` itself notices when its client leaves. The last
    event has the `warnings` that are there then.
    """
    queue: Updates = asyncio.Queue()

    def report(progress: Progress) -> None:
        if progress.segments:
            queue.put_nowait(progress.segments)

    def end(task: asyncio.Task[Transcription]) -> None:
        _running.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved, though the client may have left
        queue.put_nowait(None)

    task = asyncio.create_task(work(report))
    _running.add(task)
    task.add_done_callback(end)
    first = await _next_segments(queue)
    if first is None:
        await task
    return StreamingResponse(
        _events(first, queue, task, TranscriptEvents(form, warnings), metrics),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


class TranscriptEvents:
    """Turns segments, as they become ready, into the events to send."""

    def __init__(self, form: AudioForm, warnings: Sequence[str] = ()) -> None:
        self._form = form
        self._warnings = warnings
        self._text = GrowingText(form.response_format, form.cue_limits())
        self._sent = 0

    def add(self, segments: Sequence[Segment]) -> str:
        """Return the events for these segments; empty when there are none."""
        events = ""
        if self._form.is_verbose() and self._form.wants_segments():
            for number, segment in enumerate(segments, self._sent):
                words = self._form.wants_words()
                events += _event(SegmentReady.of(number, segment, words=words))
        self._sent += len(segments)
        return events + _delta(self._text.add(segments))

    def end(self, found: Transcription) -> str:
        """Return the events that are still missing."""
        events = self.add(found.segments[self._sent :]) + _delta(self._text.end())
        done = TextDone(text=self._text.whole, languages=[LanguageOut(code=found.language)])
        done.warnings = list(self._warnings) or None
        if self._form.is_verbose():
            done.language = found.language
            done.language_probability = found.language_probability
            done.duration = round(found.duration_seconds, 3)
        return events + _event(done)


def _delta(text: str) -> str:
    return _event(TextDelta(delta=text)) if text else ""


async def _next_segments(queue: Updates) -> Sequence[Segment] | None:
    """Return what has become ready: nothing after `KEEP_ALIVE_SECONDS`, None at the end."""
    try:
        async with asyncio.timeout(KEEP_ALIVE_SECONDS):
            return await queue.get()
    except TimeoutError:
        return ()


async def _events(
    segments: Sequence[Segment] | None,
    queue: Updates,
    task: asyncio.Task[Transcription],
    events: TranscriptEvents,
    metrics: Metrics,
) -> AsyncIterator[str]:
    while segments is not None:
        yield events.add(segments) or STILL_AT_WORK
        segments = await _next_segments(queue)
    try:
        found = await task
    except ApiError as error:
        metrics.error(error)
        yield _event(ErrorOut.of(error))
    else:
        yield events.end(found)


def _event(model: BaseModel) -> str:
    """Return one event; its JSON has no line break: in strings it is escaped."""
    text = model.model_dump_json() if isinstance(model, ErrorOut) else as_json(model)
    return f"data: {text}\n\n"
