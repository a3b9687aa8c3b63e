"""Texts, examples and errors of the OpenAPI page, which the code's types do not contain."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from whisper_server.schemas import DiarizedOut, ErrorOut, TextOut, VerboseOut

Responses = dict[int | str, dict[str, Any]]

SUMMARY = "Speech to text with one copy of Whisper for many callers."

DESCRIPTION = Path(__file__).with_name("api_description.md").read_text(encoding="utf-8")

TAGS = [
    {"name": "OpenAI", "description": "What OpenAI's clients call."},
    {"name": "Recordings", "description": "Several files in one request."},
    {"name": "Jobs", "description": "Upload now, fetch the transcript later."},
    {"name": "Health", "description": "The server's state; never behind a transcription."},
]

PAGE = {"tryItOutEnabled": True, "persistAuthorization": True, "defaultModelsExpandDepth": -1}
"""Swagger UI's own settings (swagger.io/docs/open-source-tools/swagger-ui/usage/configuration)."""

_STATUSES: dict[int, tuple[str, tuple[str, ...]]] = {
    400: ("A parameter or the file is wrong", ("wrong_parameter", "no_audio")),
    401: ("The key is missing or wrong", ("wrong_key",)),
    404: ("There is no such thing", ("unknown_model", "unknown_job")),
    413: ("More bytes, or more seconds of audio, than this server takes", ("too_large",)),
    500: ("Something broke in here", ("broken",)),
    503: ("Try again after Retry-After seconds", ("full_queue", "loading")),
    504: ("It took longer than the operator allows", ("too_slow",)),
}

EXAMPLES: dict[str, dict[str, Any]] = {
    name: {"value": value}
    for name, value in json.loads(
        Path(__file__).with_name("api_examples.json").read_text(encoding="utf-8")
    ).items()
}
"""For the `components` of the finished schema: FastAPI would omit what is null."""


def errors(*statuses: int) -> Responses:
    """Return the error responses of an endpoint, and those that any endpoint may have."""
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


def form(model: type[BaseModel], file_field: str = "file") -> dict[str, Any]:
    """Return OpenAPI's requestBody for a form that FastAPI does not read itself."""
    schema = model.model_json_schema()
    file: dict[str, Any] = {
        "type": "string",
        "format": "binary",
        "description": "Anything that FFmpeg can decode: wav, mp3, m4a, ogg, flac, webm, mp4, …",
    }
    schema["properties"] = {
        file_field: {"type": "array", "items": file} if file_field == "files" else file,
        **{name: _fillable(field) for name, field in schema["properties"].items()},
    }
    schema["required"] = [file_field]
    del schema["title"]
    content = {"multipart/form-data": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


def _fillable(field: dict[str, Any]) -> dict[str, Any]:
    """Return a form's field without null: in a form the field is absent or empty instead."""
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
_WARNING = {"Warning": _header("string", "One for each field that is ignored, and each loss")}
_UPLOAD_ERRORS = errors(400, 404, 413, 500, 503, 504)

TRANSCRIPT: Responses = {
    200: {
        "model": TextOut | VerboseOut | DiarizedOut,
        "description": "The transcript, as `response_format` and `stream` ask for it",
        "headers": _WARNING,
        "content": {
            "application/json": _examples("json", "verbose_json", "diarized_json"),
            "text/plain": _text("text", "srt"),
            "text/vtt": _text("vtt"),
            "text/event-stream": {"schema": _EVENT, **_examples("stream")},
        },
    },
    **_UPLOAD_ERRORS,
}
RECORDING: Responses = {
    200: {"headers": _WARNING, "content": {"application/json": _examples("recording")}},
    **_UPLOAD_ERRORS,
}
ACCEPTED: Responses = {
    202: {
        "description": "It waits for its turn",
        "headers": _WARNING | {"Location": _header("string", "The path of the job")},
        "content": {"application/json": _examples("queued_job")},
    },
    **errors(400, 404, 413, 500, 503),
}
JOB: Responses = {
    200: {"content": {"application/json": _examples("processing_job", "done_job", "failed_job")}},
    **errors(404),
}
