"""Read documents of the database into domain objects.

Other programs write documents too, and one odd document must not stop the workers that read past
it: a field of another type than expected counts as missing.
"""

import re
from collections.abc import Hashable, Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from datetime import datetime
from math import isfinite
from typing import Any

from stt.domain.chunk import Chunk, RecordedError, Recording
from stt.domain.transcript import LocalSpeaker, Segment, Task, Transcript
from stt.errors import SttError
from stt.transcripts.languages import foreign_language

CHUNK_FIELDS = (
    "original_id", "index", "start", "offset", "duration", "format", "vad.has_speech",
    "attempts", "expirations", "not_before", "solo", "errors.server", "channel",
    "channels", "priority",
)  # fmt: skip
"""The fields that `read_chunk` reads; a chunk's document has much larger ones too."""

_MAX_ERRORS = 5


def read_chunk(document: Mapping[str, Any]) -> Chunk:
    """Read a document of `audio_chunks`."""
    vad = read_mapping(document.get("vad"))
    servers = (read_text(error.get("server")) for error in read_mappings(document.get("errors")))
    return Chunk(
        id=document["_id"],
        recording_id=read_hashable(document.get("original_id")),
        index=read_count(document.get("index")),
        start=read_time(document.get("start")),
        offset=read_number(document.get("offset")),
        duration=read_positive(document.get("duration")),
        format=read_text(document.get("format")),
        has_speech=vad.get("has_speech"),
        attempts=read_count(document.get("attempts")),
        expirations=read_count(document.get("expirations")),
        not_before=read_time(document.get("not_before")),
        isolated=document.get("solo") is True,
        failed_on=frozenset(server for server in servers if server is not None),
        channel=read_count(document.get("channel")) or None,
        channels=read_count(document.get("channels")) or None,
        priority=_read_priority(document.get("priority")),
    )


def read_recording(document: Mapping[str, Any]) -> Recording:
    """Read a document of `source_files`."""
    return Recording(
        id=document["_id"],
        filename=str(
            document.get("filename") or _last_part(document.get("path")) or document["_id"]
        ),
        duration=read_positive(document.get("duration")),
        chunk_count=read_count(document.get("chunk_count")) or None,
        language=foreign_language(document.get("language")),
        prompt=read_text(document.get("prompt")),
        start=read_time(document.get("start")),
        ingested_at=read_time(document.get("ingested_at")),
        model=read_text(document.get("model")),
        # `stt ingest` sets it to null until it is done; other programs leave the field out.
        is_ingesting=document.get("ingested_at", "absent") is None,
        path=read_text(document.get("path")),
        folder=read_text(document.get("folder")),
        hotwords=read_text(document.get("hotwords")),
        task=_read_task(document.get("task")),
        channels="split" if document.get("channels") == "split" else "mix",
        speakers=None if (count := read_number(document.get("speakers"))) is None else int(count),
        max_speakers=read_count(document.get("max_speakers")) or None,
    )


def read_errors(document: Mapping[str, Any]) -> tuple[RecordedError, ...]:
    """Read the `errors` of a chunk's document, oldest first."""
    return tuple(
        RecordedError(
            at=read_time(error.get("at")),
            kind=str(error.get("kind") or "unknown"),
            message=str(error.get("message") or ""),
            worker=str(error.get("worker") or ""),
            server=str(error["server"]) if error.get("server") else None,
        )
        for error in read_mappings(document.get("errors"))
    )


def with_error(document: Mapping[str, Any], error: Mapping[str, Any]) -> list[Any]:
    """Return the last `errors` of a chunk's document and this one, for the document."""
    return [*read_list(document.get("errors")), error][-_MAX_ERRORS:]


def read_transcript(document: Mapping[str, Any]) -> Transcript:
    """Read the `transcript` of a chunk's document; none at all counts as silence.

    Raise SttError if it cannot be read.
    """
    transcript = document.get("transcript")
    if transcript is None:
        return Transcript()
    try:
        if not isinstance(transcript, Mapping):
            raise TypeError("not an object")
        found: dict[str, Any] = {f.name: transcript.get(f.name) for f in fields(Transcript)}
        found["segments"] = tuple(map(read_segment, transcript.get("segments") or ()))
        silent_speech_seconds = read_positive(transcript.get("silent_speech_seconds"))
        found["silent_speech_seconds"] = silent_speech_seconds or 0.0
        found["task"] = _read_task(transcript.get("task"))
        found["speakers"] = read_speakers(transcript)
        return Transcript(**found)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise SttError(
            f"The transcript of chunk {document.get('_id')} cannot be read: {error}"
        ) from error


def write_transcript(transcript: Transcript) -> dict[str, Any]:
    """Return a transcript for a chunk's document; leave out what segments do not have."""
    segments = list(map(write_segment, transcript.segments))
    written = asdict(transcript) | {"segments": segments}
    if transcript.speakers is None:
        del written["speakers"]
    else:
        written["speakers"] = list(written["speakers"])
    return written


def read_speakers(transcript: Mapping[str, Any]) -> tuple[LocalSpeaker, ...] | None:
    """Read the `speakers` of a transcript; None without any list of them."""
    if not isinstance(transcript.get("speakers"), list):
        return None
    found = []
    for speaker in read_mappings(transcript["speakers"]):
        with suppress(KeyError, TypeError, ValueError):
            found.append(LocalSpeaker.read(speaker))
    return tuple(found)


def write_segment(segment: Segment) -> dict[str, Any]:
    """Return a segment for a chunk's document; leave out what it does not have."""
    written = asdict(segment)
    written["words"] = list(written["words"])
    for name in ("words", "language", "channel", "speaker"):
        if not written[name]:
            del written[name]
    return written


def read_segment(segment: Mapping[str, Any]) -> Segment:
    """Read a segment of a chunk's document. Raise TypeError, ValueError, KeyError."""
    filled = {name: value for name, value in segment.items() if value is not None}
    return Segment.read({"start": 0.0, "end": 0.0, "text": ""} | filled)


def _last_part(path: Any) -> str | None:
    """Return a path's last part: programs that name no file may know where it was."""
    return re.split(r"[/\\\\]", path)[-1] if isinstance(path, str) else None


def _read_task(value: Any) -> Task:
    return "translate" if value == "translate" else "transcribe"


def read_number(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and isfinite(value) else None


def read_positive(value: Any) -> float | None:
    number = read_number(value)
    return number if number is not None and number > 0 else None


def read_count(value: Any) -> int:
    """Return the value as a whole number, 0 if it is none."""
    return int(read_number(value) or 0)


def _read_priority(value: Any) -> int | None:
    number = read_number(value)
    return None if number is None else int(number)


def read_flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def read_text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def read_texts(value: Any) -> tuple[str, ...]:
    """Return the texts in a list; leave out entries of other types."""
    return tuple(entry for entry in read_list(value) if isinstance(entry, str))


def read_time(value: Any) -> datetime | None:
    return value if isinstance(value, datetime) else None


def read_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def read_mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def read_mappings(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects in a list; leave out entries of other types."""
    return [entry for entry in read_list(value) if isinstance(entry, Mapping)]


def read_hashable(value: Any) -> Any:
    return value if isinstance(value, Hashable) else None
