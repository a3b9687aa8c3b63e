"""One HTTP call to a Whisper server: audio in, a transcript out, or an error that says what next.

Speaks the form of OpenAI's audio API (https://platform.openai.com/docs/api-reference/audio), so
any compatible server will do.
"""

import html
import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isnan
from typing import Any
from urllib.parse import quote

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from stt.domain.transcript import Segment, Transcript, Word
from stt.errors import (
    AnswerCutOff,
    ConfigError,
    KeyRejected,
    NoTranscript,
    RequestRefused,
    ServerBusy,
    ServerFault,
    ServerUnavailable,
    UploadCutOff,
)
from stt.system.net import is_loopback

_CONNECT_SECONDS = 10.0
_BLOCK_BYTES = 65_536
_PROBE_SECONDS = 10.0
_DEFAULT_RETRY_AFTER_SECONDS = 5.0
_MAX_RETRY_AFTER_SECONDS = 600.0
_MAX_MESSAGE = 500
_NOT_THE_FORM = (
    ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError,
)  # fmt: skip
"""What reading an answer raises that is not of the form that we know."""

_ANY_MODEL = "whisper-1"
"""The name that OpenAI-compatible servers take for the model they have loaded."""


@dataclass(frozen=True, slots=True)
class Upload:
    """Encoded audio as it travels; `seconds` is its length.

    `model` is the one that this recording wants, None for the worker's own.
    """

    data: bytes
    filename: str
    seconds: float
    language: str | None = None
    prompt: str | None = None
    wants_words: bool = False
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a server says of itself: its calls at once, and which process it is; None unsaid."""

    capacity: int | None = None
    instance: str | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class _Body(io.BytesIO):
    """An upload that knows whether any of it, and all of it, was handed to the network."""

    has_begun = False
    is_sent = False

    def read(self, size: int | None = -1, /) -> bytes:
        self.has_begun = True
        block = super().read(size)
        self.is_sent = not block  # who asks for more has sent what came before
        return block


class WhisperClient:
    """Calls one server. Safe between threads."""

    def __init__(self, url: str, api_key: str | None, model: str | None) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self._model = model
        self._served_model: str | None = None
        self._api_key = api_key
        self._secrets = _written_forms(api_key) if api_key else ()

    def ready(self, limit_seconds: float = _PROBE_SECONDS) -> Readiness:
        """What the server says of itself.

        Raises ServerBusy while its model loads, ServerUnavailable if it does not answer. A server
        of another kind has no such address: that it answers at all is enough.
        """
        deadline = time.monotonic() + limit_seconds
        try:
            with (
                self._session() as session,
                session.get(f"{self.url}/ready", timeout=limit_seconds, stream=True) as response,
            ):
                answer = _read(response, deadline)
        except (requests.RequestException, HTTPError) as error:
            raise ServerUnavailable(self._message("does not answer", _cause(error))) from error
        if answer.status in (429, 503):
            raise ServerBusy(f"{self.url} is not ready yet", _retry_after(answer.headers))
        if answer.status >= 500:
            raise ServerUnavailable(f"{self.url} answered {answer.status}")
        try:
            told = json.loads(answer.body)
            self._served_model = told.get("model")
            instance = told.get("instance")
            capacity = max(1, int(told["capacity"]))
            return Readiness(capacity, None if instance is None else str(instance))
        except _NOT_THE_FORM:
            return Readiness()

    def transcribe(self, upload: Upload, timeout_seconds: float) -> Transcript:
        """Sends the audio and waits for its transcript, times relative to the audio's start.

        Raises ServerUnavailable or ServerBusy (the chunk is innocent), UploadCutOff, AnswerCutOff,
        NoTranscript, RequestRefused or ServerFault (it may be guilty), KeyRejected or ConfigError
        (stop). The key is in none of their messages, whatever the server says.
        """
        started = time.monotonic()
        answer = self._post(upload, started + timeout_seconds)
        self._check(answer, upload.model)
        try:
            record_readiness = _transcript(json.loads(answer.body), upload.seconds)
        except _NOT_THE_FORM as error:
            said = self._redacted(answer.body)[:80]
            raise NoTranscript(
                f"{self.url} does not answer like a Whisper server: {said!r}"
            ) from error
        seconds = round(time.monotonic() - started, 3)
        model = record_readiness.model or upload.model or self._model or self._served_model
        return replace(record_readiness, model=model, server=self.url, seconds=seconds)

    def _post(self, upload: Upload, deadline: float) -> "_Answer":
        """The whole answer, whatever its status. `deadline` is on `time.monotonic()`."""
        request = requests.Request(
            "POST",
            f"{self.url}/v1/audio/transcriptions",
            data=self._form(upload),
            files={"file": (upload.filename, upload.data)},
        )
        session = self._session()
        prepared = session.prepare_request(request)
        assert isinstance(prepared.body, bytes)
        # The connection's time-out also holds for sending: from a file it counts for each block,
        # and not for minutes of audio on a slow line.
        upload_body = _Body(prepared.body)
        prepared.body = upload_body  # type: ignore[assignment]
        environment = session.merge_environment_settings(prepared.url, {}, True, None, None)
        timeout = (_CONNECT_SECONDS, max(1.0, deadline - time.monotonic()))
        try:
            # A redirection is not followed: the upload has been read, and its key is for this host.
            with (
                session,
                session.send(
                    prepared, timeout=timeout, allow_redirects=False, **environment
                ) as response,
            ):
                return _read(response, deadline)
        except (requests.ReadTimeout, ReadTimeoutError) as error:
            raise ServerFault(f"{self.url} took longer than a call may take", self.url) from error
        except (requests.RequestException, HTTPError) as error:
            if upload_body.is_sent:
                raise AnswerCutOff(self._message("broke off its answer", _cause(error))) from error
            if upload_body.has_begun:
                raise UploadCutOff(self._message("broke off the upload", _cause(error))) from error
            raise ServerUnavailable(self._message("does not answer", _cause(error))) from error

    def _session(self) -> requests.Session:
        """Connections of its own for each call: one that was kept may lead to a process that has
        died since, and then the next upload would look as if it had killed it."""
        session = requests.Session()
        # A proxy has no way to this machine's own addresses.
        session.trust_env = not is_loopback(self.url)
        session.headers["Connection"] = "close"
        if self._api_key:
            session.headers["Authorization"] = f"Bearer {self._api_key}"
        return session

    def _form(self, upload: Upload) -> list[tuple[str, str]]:
        form = [
            ("model", upload.model or self._model or _ANY_MODEL),
            ("response_format", "verbose_json"),
        ]
        form.append(("timestamp_granularities[]", "segment"))
        if upload.wants_words:
            form.append(("timestamp_granularities[]", "word"))
        if upload.language:
            form.append(("language", upload.language))
        if upload.prompt:
            form.append(("prompt", upload.prompt))
        return form

    def _check(self, answer: "_Answer", wished_model: str | None) -> None:
        """Raises what a status other than 200 means, by the failure table of docs/design.md.

        `wished_model` is the recording's own: that a server lacks it is no fault of the worker's.
        """
        status = answer.status
        if status == 200:
            return
        if 300 <= status < 400:
            target = self._redacted(answer.headers.get("Location", "elsewhere"))
            raise ConfigError(
                f"{self.url} redirects to {target[:_MAX_MESSAGE]}: set STT_SERVER_URL to where"
                " that leads"
            )
        said = self._error_object(answer.body)
        message = self._message(f"answered {status}", str(said.get("message")))
        if status in (401, 403):
            raise KeyRejected(
                f"{self.url} refuses the key: set STT_API_KEY to the server's API_KEY."
            )
        if status in (429, 503):
            raise ServerBusy(message, _retry_after(answer.headers))
        if wished_model and _is_about_model(status, said, wished_model):
            raise RequestRefused(f"no model {wished_model} on {self.url}", self.url)
        if status in (404, 405) or said.get("param") == "model":
            raise ConfigError(f"{message} (check STT_SERVER_URL and --model)")
        if status == 500 or status == 504:
            raise ServerFault(message, self.url)
        if 400 <= status < 500:
            raise RequestRefused(message, self.url)
        raise ServerUnavailable(message)

    def _error_object(self, body: bytes) -> Mapping[str, Any]:
        """OpenAI's error object, or something in its form made of whatever came."""
        try:
            error = json.loads(body)["error"]
            if isinstance(error, Mapping):
                return error
        except _NOT_THE_FORM:
            pass
        return {"message": self._redacted(body)[:200].strip() or "nothing more"}

    def _message(self, what: str, words: str) -> str:
        """`http://gpu-box:8081 answered 500: out of memory`"""
        return f"{self.url} {what}: {self._redacted(words)[:_MAX_MESSAGE]}"

    def _redacted(self, words: bytes | str) -> str:
        """What came from the other side, without our key: some servers repeat the request."""
        text = words if isinstance(words, str) else words.decode(errors="replace")
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _is_about_model(status: int, said: Mapping[str, Any], model: str) -> bool:
    """True if a server refuses the request for its model; servers say so in three ways."""
    if said.get("param") == "model" or said.get("code") == "model_not_found":
        return True
    return status == 404 and model in str(said.get("message"))


def _read(response: requests.Response, deadline: float) -> _Answer:
    """All of an answer. Raises ReadTimeout when `deadline`, on `time.monotonic()`, is past: the
    time-out of a call is for each read alone."""
    body = bytearray()
    while block := response.raw.read1(_BLOCK_BYTES, decode_content=True):
        body += block
        if time.monotonic() > deadline:
            raise requests.ReadTimeout("it takes too long")
    return _Answer(response.status_code, response.headers, bytes(body))


def _written_forms(key: str) -> tuple[str, ...]:
    """How a page, an object or an address may write the key; the longest first."""
    forms = {key, html.escape(key), html.escape(key, quote=False), json.dumps(key)[1:-1]}
    forms |= {quote(key), quote(key, safe=""), repr(key)[1:-1]}
    return tuple(sorted(forms, key=len, reverse=True))


def _transcript(body: Mapping[str, Any], seconds: float) -> Transcript:
    """Reads verbose_json; a server that answers plain `{text}` gives one segment."""
    text = body["text"].strip()
    listed = body.get("segments")
    segments = [_segment(s) for s in listed] if listed is not None else [Segment(0, seconds, text)]
    if words := [_word(w) for w in body.get("words") or ()]:
        segments = _with_words(segments, words)
    return Transcript(
        segments=tuple(segment for segment in segments if segment.text),
        language=body.get("language"),
        language_probability=body.get("language_probability"),
        model=body.get("model"),
    )


def _segment(body: Mapping[str, Any]) -> Segment:
    return Segment(
        start=float(body["start"]),
        end=float(body["end"]),
        text=str(body["text"]).strip(),
        avg_logprob=body.get("avg_logprob"),
        no_speech_prob=body.get("no_speech_prob"),
        words=tuple(_word(w) for w in body.get("words") or ()),
    )


def _word(body: Mapping[str, Any]) -> Word:
    return Word(
        float(body["start"]), float(body["end"]), str(body["word"]), body.get("probability")
    )


def _with_words(segments: list[Segment], words: list[Word]) -> list[Segment]:
    """Deals the words, which OpenAI's form lists apart, to the segments in whose time they fall."""
    dealt: list[list[Word]] = [[] for _ in segments]
    at = 0
    for word in words:
        middle = (word.start + word.end) / 2
        while at < len(segments) - 1 and middle >= segments[at].end:
            at += 1
        if segments:
            dealt[at].append(word)
    return [replace(s, words=tuple(w)) for s, w in zip(segments, dealt, strict=True)]


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        seconds = float(headers.get("Retry-After", ""))
    except ValueError:
        return _DEFAULT_RETRY_AFTER_SECONDS
    if isnan(seconds):
        return _DEFAULT_RETRY_AFTER_SECONDS
    return min(max(seconds, 0.1), _MAX_RETRY_AFTER_SECONDS)


def _cause(error: Exception) -> str:
    """The innermost reason, which is the readable one (`Connection refused`)."""
    reason = getattr(error.args[0], "reason", error.args[0]) if error.args else error
    return str(reason).rpartition(": ")[2] or type(error).__name__
