"""What the OpenAPI page says beyond what the code says by itself: texts, examples, errors."""

from typing import Any

from pydantic import BaseModel

from whisper_server.errors import (
    ApiError,
    InvalidAudio,
    InvalidRequest,
    RequestTimeout,
    ServerFault,
    TooLarge,
    Unavailable,
    UnknownJob,
    UnknownModel,
    WrongKey,
)
from whisper_server.schemas import ErrorOut, TextOut, VerboseOut

Responses = dict[int | str, dict[str, Any]]

SUMMARY = "Speech to text with one copy of Whisper for many callers."

DESCRIPTION = """
Speaks OpenAI's audio API, so its clients work here: give them this server as `base_url`.

```python
from openai import OpenAI

client = OpenAI(base_url="http://localhost:8081/v1", api_key="the key, or anything")
with open("talk.mp3", "rb") as file:
    print(client.audio.transcriptions.create(model="whisper-1", file=file).text)
```

```sh
curl http://localhost:8081/v1/audio/transcriptions -F file=@talk.mp3 -F response_format=srt
```

**Errors** have OpenAI's form, `{"error": {"message", "type", "param", "code"}}`. 503 means:
try again after `Retry-After` seconds.

**Fields that no Whisper can honour** (`chunking_strategy`, `include[]`, `keywords[]`,
`languages[]`, `known_speaker_names[]`, `known_speaker_references[]`) are accepted; the answer then
has a `Warning` header for each. Fields that nobody knows are ignored.
"""

TAGS = [
    {"name": "OpenAI", "description": "What OpenAI's clients call."},
    {"name": "Recordings", "description": "Several files in one request."},
    {"name": "Jobs", "description": "Upload now, fetch the transcript later."},
    {"name": "Health", "description": "How the server is; never behind a transcription."},
]

PAGE = {"tryItOutEnabled": True, "persistAuthorization": True, "defaultModelsExpandDepth": -1}
"""Swagger UI's own settings (swagger.io/docs/open-source-tools/swagger-ui/usage/configuration)."""

_TEXT = "The glacier has lost a third of its ice. It will lose the rest."
_SEGMENTS = [
    {
        "id": 0, "seek": 0, "start": 0.0, "end": 2.84, "tokens": [440, 33014, 575],
        "text": " The glacier has lost a third of its ice.", "temperature": 0.0,
        "avg_logprob": -0.18, "compression_ratio": 1.1, "no_speech_prob": 0.01,
    },
    {
        "id": 1, "seek": 0, "start": 3.1, "end": 4.6, "tokens": [467, 486, 3624],
        "text": " It will lose the rest.", "temperature": 0.0, "avg_logprob": -0.18,
        "compression_ratio": 1.1, "no_speech_prob": 0.01,
    },
]  # fmt: skip
_VERBOSE = {
    "task": "transcribe", "language": "en", "language_probability": 0.98, "duration": 5.2,
    "text": _TEXT, "segments": _SEGMENTS,
    "words": [{"word": " The", "start": 0.0, "end": 0.16, "probability": 0.97}],
}  # fmt: skip
_SRT = """1
00:00:00,000 --> 00:00:02,840
The glacier has lost a third of its ice.

2
00:00:03,100 --> 00:00:04,600
It will lose the rest.

"""
_VTT = """WEBVTT

00:00:00.000 --> 00:00:02.840
The glacier has lost a third of its ice.

00:00:03.100 --> 00:00:04.600
It will lose the rest.

"""
_STREAM = """data: {"type":"transcript.text.delta","delta":"The glacier has lost a third of its \
ice."}

: still at work

data: {"type":"transcript.text.delta","delta":" It will lose the rest."}

data: {"type":"transcript.text.done","text":"The glacier has lost a third of its ice. \
It will lose the rest.","languages":[{"code":"en"}]}

"""
_RECORDING = {
    "language": "en", "top_language_probs": [["en", 0.98], ["de", 0.01]], "duration": 5.2,
    "segments": [{
        "start": 0.0, "end": 2.84, "text": "The glacier has lost a third of its ice.",
        "avg_logprob": -0.18, "no_speech_prob": 0.01,
    }],
}  # fmt: skip
_QUEUED = {
    "id": "pYCzWlRJ0bC2dZr6pOq3Gg", "object": "transcription.job", "status": "queued",
    "task": "transcribe", "response_format": "json", "filename": "talk.mp3", "progress": 0.0,
    "seconds_done": 0.0, "seconds_total": None, "instances": [],
    "created_at": "2026-01-31T12:00:00Z", "started_at": None, "finished_at": None, "error": None,
}  # fmt: skip
_PROCESSING = _QUEUED | {
    "status": "processing", "progress": 0.42, "seconds_done": 756.0, "seconds_total": 1800.0,
    "instances": [0], "started_at": "2026-01-31T12:00:01Z", "result": None,
}  # fmt: skip
_DONE = _PROCESSING | {
    "status": "done", "progress": 1.0, "seconds_done": 1800.0, "result": {"text": _TEXT},
    "finished_at": "2026-01-31T12:01:40Z",
}  # fmt: skip

_BROKEN = InvalidAudio("The file cannot be decoded: it is no audio file.", param="file")
_FAILED = _PROCESSING | {
    "status": "failed", "finished_at": "2026-01-31T12:00:02Z",
    "error": ErrorOut.of(_BROKEN).error.model_dump(),
}  # fmt: skip

_ERRORS: dict[str, ApiError] = {
    "wrong_parameter": InvalidRequest(
        "Invalid 'temperature': Input should be less than or equal to 1", param="temperature"
    ),
    "no_audio": _BROKEN,
    "wrong_key": WrongKey("The API key is wrong."),
    "unknown_model": UnknownModel(
        "The model 'gpt-4o' is not loaded; this server has 'base'.", param="model"
    ),
    "unknown_job": UnknownJob(
        "There is no job 'x'. Jobs are kept in memory: this server has run since …", param="job_id"
    ),
    "too_large": TooLarge("The request is larger than the 500 MiB that this server takes."),
    "broken": ServerFault("The transcription failed; the server's log says why."),
    "full_line": Unavailable(
        "68 requests are in work or waiting: come back later.", 12, code="queue_full"
    ),
    "loading": Unavailable("The model 'base' is still loading.", 2, code="model_loading"),
    "too_slow": RequestTimeout("The transcription took longer than 3600 seconds."),
}
_STATUSES: dict[int, tuple[str, tuple[str, ...]]] = {
    400: ("A parameter or the file is wrong", ("wrong_parameter", "no_audio")),
    401: ("The key is missing or wrong", ("wrong_key",)),
    404: ("There is no such thing", ("unknown_model", "unknown_job")),
    413: ("More bytes, or more seconds of audio, than this server takes", ("too_large",)),
    500: ("Something broke in here", ("broken",)),
    503: ("Try again after Retry-After seconds", ("full_line", "loading")),
    504: ("It took longer than the operator allows", ("too_slow",)),
}

EXAMPLES: dict[str, dict[str, Any]] = {
    name: {"value": value}
    for name, value in {
        "json": {"text": _TEXT},
        "verbose_json": _VERBOSE,
        "text": _TEXT + "\n",
        "srt": _SRT,
        "vtt": _VTT,
        "stream": _STREAM,
        "recording": _RECORDING,
        "queued_job": _QUEUED,
        "processing_job": _PROCESSING,
        "done_job": _DONE,
        "failed_job": _FAILED,
        **{name: ErrorOut.of(error).model_dump() for name, error in _ERRORS.items()},
    }.items()
}
"""For the schema's `components`, once it is made: FastAPI would leave out what is null."""

_OF_UPLOADS = (400, 404, 413, 500, 503, 504)


def errors(*statuses: int) -> Responses:
    """The errors of an endpoint, and what any of them may answer."""
    found: Responses = {
        "4XX": {"model": ErrorOut, "description": "Wrong in another way, in the same form"},
    }
    for status in statuses:
        description, names = _STATUSES[status]
        content = {"application/json": _examples(*names)}
        found[status] = {"model": ErrorOut, "description": description, "content": content}
    if 503 in found:
        found[503]["headers"] = {"Retry-After": _header("integer", "Seconds")}
    return found


def transcript_responses() -> Responses:
    success = {
        "model": TextOut | VerboseOut,
        "description": "The transcript, as `response_format` and `stream` ask for it",
        "headers": _WARNING,
        "content": {
            "application/json": _examples("json", "verbose_json"),
            "text/plain": _text("text", "srt"),
            "text/vtt": _text("vtt"),
            "text/event-stream": {"schema": _EVENT, **_examples("stream")},
        },
    }
    return {200: success} | errors(*_OF_UPLOADS)


def recording_responses() -> Responses:
    content = {"application/json": _examples("recording")}
    return {200: {"headers": _WARNING, "content": content}} | errors(*_OF_UPLOADS)


def accepted_responses() -> Responses:
    success = {
        "description": "It waits for its turn",
        "headers": _WARNING | {"Location": _header("string", "Where to look at it")},
        "content": {"application/json": _examples("queued_job")},
    }
    return {202: success} | errors(400, 404, 413, 500, 503)


def job_responses() -> Responses:
    states = _examples("processing_job", "done_job", "failed_job")
    return {200: {"content": {"application/json": states}}} | errors(404)


def form(model: type[BaseModel], file_field: str, *, several: bool) -> dict[str, Any]:
    """OpenAPI's requestBody for a form that is read by hand."""
    schema = model.model_json_schema()
    file: dict[str, Any] = {
        "type": "string",
        "format": "binary",
        "description": "Anything that FFmpeg can decode: wav, mp3, m4a, ogg, flac, webm, mp4, …",
    }
    schema["properties"] = {
        file_field: {"type": "array", "items": file} if several else file,
        **{name: _fillable(field) for name, field in schema["properties"].items()},
    }
    schema["required"] = [file_field]
    del schema["title"]
    content = {"multipart/form-data": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


def _fillable(field: dict[str, Any]) -> dict[str, Any]:
    """A form has no null: a field is left out instead, or empty."""
    kinds = [kind for kind in field.get("anyOf", []) if kind != {"type": "null"}]
    rest = {name: value for name, value in field.items() if name not in {"anyOf", "title"}}
    if kinds and rest.get("default", ...) is None:
        rest["default"] = ""
    return {**(kinds[0] if kinds else {}), **rest}


def _examples(*names: str) -> dict[str, Any]:
    assert EXAMPLES.keys() >= set(names)
    return {"examples": {name: {"$ref": f"#/components/examples/{name}"} for name in names}}


def _text(*names: str) -> dict[str, Any]:
    return {"schema": {"type": "string"}, **_examples(*names)}


def _header(kind: str, description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": kind}}


_EVENT = {
    "description": "Each event; its `data` is JSON",
    "type": "object",
    "properties": {"data": {"type": "string", "contentMediaType": "application/json"}},
    "required": ["data"],
}
_WARNING = {"Warning": _header("string", "One for each field that was sent in vain")}
