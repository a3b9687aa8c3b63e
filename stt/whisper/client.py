"""Call a Whisper server over HTTP: send audio, return its transcript.

Use OpenAI's audio API, so that any compatible server will do. Source:
https://platform.openai.com/docs/api-reference/audio
"""

import html
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isnan, nan
from typing import Any
from urllib.parse import quote

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.filepost import encode_multipart_formdata

from stt import errors
from stt.domain.chunk import SPEAKERS
from stt.domain.transcript import Task, Transcript
from stt.system.http import (
    MAX_ANSWER_BYTES,
    MAX_SHORT_ANSWER_BYTES,
    Answer,
    RequestBody,
    Timeout,
    UnreadableAnswer,
    fetch,
    http_session,
    read_json,
    reason_of,
)
from stt.whisper.model_names import ANY_MODEL, is_about_model
from stt.whisper.verbose_json import FORMAT_ERRORS, read_transcript

_CONNECT_SECONDS = 10.0
_MAX_BYTES_PER_SECOND = 16 * 1024
PROBE_SECONDS = 10.0
_DEFAULT_RETRY_AFTER_SECONDS = 5.0
_MAX_RETRY_AFTER_SECONDS = 600.0
_MAX_MESSAGE_CHARACTERS = 500
_PATHS: Mapping[Task, str] = {
    "transcribe": "/v1/audio/transcriptions",
    "translate": "/v1/audio/translations",
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Upload:
    """Encoded audio to transcribe, or to translate into English; `seconds` is its length.

    `model` is the recording's own setting, None for the worker's.
    """

    data: bytes
    filename: str
    seconds: float
    language: str | None = None
    prompt: str | None = None
    wants_words: bool = False
    model: str | None = None
    hotwords: str | None = None
    task: Task = "transcribe"
    wants_speakers: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """What a server must have for it: a model, and what finds speakers."""
        return (*filter(None, [self.model]), *([SPEAKERS] if self.wants_speakers else []))


@dataclass(frozen=True, slots=True)
class Readiness:
    """How many calls a server takes at once, and the id of its process; None if it gave none."""

    capacity: int | None = None
    instance: str | None = None


class WhisperClient:
    """Call one server; safe to share between threads."""

    def __init__(self, url: str, api_key: str | None, model: str | None) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self._model = model
        self._served_model: str | None = None
        self._api_key = api_key
        self._secrets = _spellings(api_key) if api_key else ()
        self._is_warned_of = False

    def ready(self, limit_seconds: float = PROBE_SECONDS) -> Readiness:
        """Ask the server whether it can transcribe.

        Raise ServerBusy while its model loads, ServerUnavailable if it does not answer. Accept any
        other answer: OpenAI-compatible servers need not have `GET /ready`.
        """
        try:
            answer = self.request("GET", "/ready", limit_seconds, limit_seconds)
        except (requests.RequestException, HTTPError) as error:
            raise errors.ServerUnavailable(self._message("does not answer", error)) from error
        if answer.status in (429, 503):
            said = str(self.error_object(answer.body).get("message"))
            reason = self._redact(said)[:_MAX_MESSAGE_CHARACTERS]
            message = self._message("is not ready yet", said)
            raise errors.ServerBusy(message, _retry_after(answer.headers), reason)
        if answer.status >= 500:
            raise errors.ServerUnavailable(f"{self.url} answered {answer.status}")
        try:
            body = read_json(answer.body)
            self._served_model = body.get("model")
            instance = body.get("instance")
            capacity = max(1, int(body["capacity"]))
            return Readiness(capacity, None if instance is None else str(instance))
        except FORMAT_ERRORS:
            return Readiness()

    def transcribe(self, upload: Upload, timeout_seconds: float) -> Transcript:
        """Send the audio and return its transcript, with times relative to the audio's start.

        Raise ServerUnavailable, ServerBusy or ModelMissing if the chunk is not at fault;
        UploadCutOff, AnswerCutOff, NoTranscript, RequestRefused or ServerFault if it may be;
        KeyRejected or ConfigError if the server does not suit. No message contains the API key.
        """
        started = time.monotonic()
        answer = self._post(upload, started + timeout_seconds)
        self._check(answer, upload)
        try:
            transcript = read_transcript(read_json(answer.body), upload.seconds)
        except FORMAT_ERRORS as error:
            excerpt = self._redact(answer.body)[:80]
            raise errors.NoTranscript(
                f"{self.url} does not answer like a Whisper server: {excerpt!r}"
            ) from error
        if upload.wants_speakers and transcript.speakers is None:
            said = self._redact(answer.headers.get("Warning", ""))[:_MAX_MESSAGE_CHARACTERS]
            # One that does not look for them would otherwise be warned of at each call.
            level = logging.WARNING if said or not self._is_warned_of else logging.DEBUG
            self._is_warned_of = True
            why = said or "it does not look for them"
            logger.log(level, "%s gave a transcript without speakers: %s", self.url, why)
        seconds = round(time.monotonic() - started, 3)
        model = transcript.model or upload.model or self._model or self._served_model
        return replace(transcript, model=model, server=self.url, seconds=seconds, task=upload.task)

    def _post(self, upload: Upload, deadline: float) -> Answer:
        """Return the whole response, of any status. `deadline` is on `time.monotonic()`."""
        # The connection's time-out covers sending too. For a file object it applies to each block,
        # not to all of the upload, so minutes of audio can pass through a slow line.
        encoded, content_type = encode_multipart_formdata(self._form(upload))
        body, seconds = RequestBody(encoded), max(1.0, deadline - time.monotonic())
        try:
            return self.request(
                "POST",
                _PATHS[upload.task],
                (_CONNECT_SECONDS, seconds),
                seconds,
                max_bytes=min(MAX_ANSWER_BYTES, _answer_bytes(upload.seconds)),
                data=body,
                headers={"Content-Type": content_type},
            )
        except (requests.ReadTimeout, ReadTimeoutError) as error:
            raise errors.ServerFault(
                f"{self.url} took longer than a call may take", self.url
            ) from error
        except UnreadableAnswer as error:
            raise errors.NoTranscript(self._message("gave no transcript", error)) from error
        except (requests.RequestException, HTTPError) as error:
            if body.is_sent:
                raise errors.AnswerCutOff(self._message("broke off its answer", error)) from error
            if body.is_started:
                raise errors.UploadCutOff(self._message("broke off the upload", error)) from error
            raise errors.ServerUnavailable(self._message("does not answer", error)) from error

    def request(
        self, method: str, path: str, timeout: Timeout, total_seconds: float, **options: Any
    ) -> Answer:
        """Make a request on a connection of its own.

        One kept from an earlier call may lead to a process that has died since; the next upload
        would fail on it and be counted as an attempt.
        """
        with http_session(self.url, self._api_key) as session:
            session.headers["Connection"] = "close"
            options = {"max_bytes": MAX_SHORT_ANSWER_BYTES, "timeout": timeout, **options}
            return fetch(session, method, self.url + path, total_seconds=total_seconds, **options)

    def _form(self, upload: Upload) -> list[tuple[str, str | tuple[str, bytes, str]]]:
        """Return the fields of the request; the file has no content type."""
        fields = (
            ("model", upload.model or self._model or ANY_MODEL),
            ("response_format", "verbose_json"),
            ("timestamp_granularities[]", "segment"),
            ("timestamp_granularities[]", "word" if upload.wants_words else None),
            ("language", upload.language),
            ("prompt", upload.prompt),
            ("hotwords", upload.hotwords),
            ("speakers", "true" if upload.wants_speakers else None),
            ("file", (upload.filename, upload.data, "")),
        )
        return [(name, value) for name, value in fields if value]

    def _check(self, answer: Answer, upload: Upload) -> None:
        """Raise the error that a status other than 200 stands for.

        One that cannot translate refuses the chunk; one without the recording's own model leaves it
        to others; one without the worker's model is a mistake in the worker's settings.
        """
        status = answer.status
        if status == 200:
            return
        if 300 <= status < 400:
            target = self._redact(answer.headers.get("Location", "elsewhere"))
            target = target[:_MAX_MESSAGE_CHARACTERS]
            raise errors.ConfigError(
                f"{self.url} redirects to {target}: set STT_SERVER_URL to where that leads"
            )
        error = self.error_object(answer.body)
        message = self._message(f"answered {status}", str(error.get("message")))
        if status in (401, 403):
            raise errors.KeyRejected(
                f"{self.url} refuses the key: set STT_API_KEY to the server's API_KEY."
            )
        if status in (429, 503):
            raise errors.ServerBusy(message, _retry_after(answer.headers))
        if upload.task == "translate" and _is_about_translation(status, error):
            raise errors.CannotTranslate(
                f"{self.url} cannot translate: use a server with a multilingual model, or"
                f" transcribe the recording (it answered {status}:"
                f" {self._redact(str(error.get('message')))[:_MAX_MESSAGE_CHARACTERS]})",
                self.url,
            )
        if upload.wants_speakers and error.get("code") == "no_speakers":
            raise errors.ModelMissing(f"{self.url} finds no speakers", SPEAKERS)
        if upload.model and is_about_model(status, error, upload.model):
            raise errors.ModelMissing(f"no model {upload.model} on {self.url}", upload.model)
        if status in (404, 405, 421) or error.get("param") == "model":
            raise errors.ConfigError(f"{message} (check STT_SERVER_URL and --model)")
        if status in (500, 504):
            raise errors.ServerFault(message, self.url)
        if 400 <= status < 500:
            raise errors.RequestRefused(message, self.url)
        raise errors.ServerUnavailable(message)

    def error_object(self, body: bytes) -> Mapping[str, Any]:
        """Return the error object of the response, or one made of its text."""
        try:
            error = read_json(body)["error"]
            if isinstance(error, Mapping):
                return error
        except FORMAT_ERRORS:
            pass
        return {"message": self._redact(body)[:200].strip() or "nothing more"}

    def _message(self, event: str, detail: str | Exception) -> str:
        """Return one line, such as `http://gpu-box:8081 answered 500: out of memory`."""
        detail = reason_of(detail) if isinstance(detail, Exception) else detail
        return f"{self.url} {event}: {self._redact(detail)[:_MAX_MESSAGE_CHARACTERS]}"

    def _redact(self, received: bytes | str) -> str:
        """Return what the server sent as text without the API key; some repeat the request."""
        text = received if isinstance(received, str) else received.decode(errors="replace")
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _is_about_translation(status: int, error: Mapping[str, Any]) -> bool:
    """Return whether the server does not translate: ours says so, others do not know the path."""
    if error.get("code") == "unsupported_task":
        return True
    return status in (404, 405) and "model" not in f"{error.get('param')} {error.get('message')}"


def _answer_bytes(seconds: float) -> int:
    """Return the most bytes of the transcript of so much audio: 50 times those of quick speech."""
    return int(MAX_SHORT_ANSWER_BYTES + seconds * _MAX_BYTES_PER_SECOND)


def _spellings(key: str) -> tuple[str, ...]:
    """Return the key as HTML, JSON, a URL or Python may write it, longest first."""
    forms = {key, html.escape(key), html.escape(key, quote=False), json.dumps(key)[1:-1]}
    forms |= {quote(key), quote(key, safe=""), repr(key)[1:-1]}
    return tuple(sorted(forms, key=len, reverse=True))


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        seconds = float(headers.get("Retry-After", ""))
    except ValueError:
        seconds = nan
    if isnan(seconds):
        return _DEFAULT_RETRY_AFTER_SECONDS
    return min(max(seconds, 0.1), _MAX_RETRY_AFTER_SECONDS)
