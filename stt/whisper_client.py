"""One HTTP call to a Whisper server: audio in, a transcript out, or an error that says what next.

Speaks the form of OpenAI's audio API (https://platform.openai.com/docs/api-reference/audio), so
any compatible server will do.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import requests

from stt.errors import (
    ConfigError,
    KeyRejected,
    RequestRefused,
    ServerBusy,
    ServerFault,
    ServerUnavailable,
)
from stt.transcript import Segment, Transcript, Word

_CONNECT_SECONDS = 5.0
_PROBE_SECONDS = 10.0
_DEFAULT_RETRY_AFTER_SECONDS = 5.0
_LONGEST_RETRY_AFTER_SECONDS = 600.0
_ANY_MODEL = "whisper-1"
"""The name that OpenAI-compatible servers take for the model they have loaded."""


@dataclass(frozen=True, slots=True)
class Upload:
    """Encoded audio as it travels; `seconds` is its length."""

    data: bytes
    filename: str
    seconds: float
    language: str | None = None
    prompt: str | None = None
    wants_words: bool = False


class WhisperClient:
    """Calls one server. Safe between threads."""

    def __init__(
        self, url: str, api_key: str | None, model: str | None, calls_at_once: int
    ) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self._model = model
        self._served_model: str | None = None
        self._session = requests.Session()
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=calls_at_once + 1)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        # A proxy has no way to this machine's own addresses.
        self._session.trust_env = not _is_loopback(self.url)
        if api_key:
            self._session.headers["Authorization"] = f"Bearer {api_key}"

    def capacity(self) -> int | None:
        """Calls that the server works on at once; None if it does not say.

        Raises ServerBusy while its model loads, ServerUnavailable if it does not answer. A server
        of another kind has no such address: that it answers at all is enough.
        """
        try:
            response = self._session.get(f"{self.url}/ready", timeout=_PROBE_SECONDS)
        except requests.RequestException as error:
            raise ServerUnavailable(f"{self.url} does not answer: {_cause(error)}") from error
        if response.status_code in (429, 503):
            raise ServerBusy(f"{self.url} is not ready yet", _retry_after(response))
        if response.status_code >= 500:
            raise ServerUnavailable(f"{self.url} answered {response.status_code}")
        try:
            told = response.json()
            self._served_model = told.get("model")
            return int(told["capacity"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def transcribe(self, upload: Upload, timeout_seconds: float) -> Transcript:
        """Sends the audio and waits for its transcript, times relative to the audio's start.

        Raises ServerUnavailable or ServerBusy (the chunk is innocent), RequestRefused or
        ServerFault (it may be guilty), KeyRejected or ConfigError (stop).
        """
        started = time.monotonic()
        try:
            response = self._session.post(
                f"{self.url}/v1/audio/transcriptions",
                data=self._form(upload),
                files={"file": (upload.filename, upload.data)},
                timeout=(_CONNECT_SECONDS, timeout_seconds),
            )
        except requests.ReadTimeout as error:
            raise ServerFault(f"{self.url} took longer than {timeout_seconds:.0f} s") from error
        except requests.RequestException as error:
            raise ServerUnavailable(f"{self.url} does not answer: {_cause(error)}") from error
        self._check(response)
        try:
            heard = _transcript(response.json(), upload.seconds)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ServerUnavailable(
                f"{self.url} does not answer like a Whisper server: {response.text[:80]!r}"
            ) from error
        seconds = round(time.monotonic() - started, 3)
        model = heard.model or self._model or self._served_model
        return replace(heard, model=model, server=self.url, seconds=seconds)

    def _form(self, upload: Upload) -> list[tuple[str, str]]:
        form = [("model", self._model or _ANY_MODEL), ("response_format", "verbose_json")]
        form.append(("timestamp_granularities[]", "segment"))
        if upload.wants_words:
            form.append(("timestamp_granularities[]", "word"))
        if upload.language:
            form.append(("language", upload.language))
        if upload.prompt:
            form.append(("prompt", upload.prompt))
        return form

    def _check(self, response: requests.Response) -> None:
        """Raises what a status other than 200 means, by the failure table of docs/design.md."""
        status = response.status_code
        if status == 200:
            return
        said = _said(response)
        message = f"{self.url} answered {status}: {said.get('message')}"
        if status in (401, 403):
            raise KeyRejected(
                f"{self.url} refuses the key: set STT_API_KEY to the server's API_KEY."
            )
        if status in (429, 503):
            raise ServerBusy(message, _retry_after(response))
        if status in (404, 405) or said.get("param") == "model":
            raise ConfigError(f"{message} (check STT_SERVER_URL and --model)")
        if status == 500 or status == 504:
            raise ServerFault(message)
        if 400 <= status < 500:
            raise RequestRefused(message)
        raise ServerUnavailable(message)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _transcript(body: Mapping[str, Any], seconds: float) -> Transcript:
    """Reads verbose_json; a server that answers plain `{text}` gives one segment."""
    text = str(body["text"]).strip()
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


def _said(response: requests.Response) -> Mapping[str, Any]:
    """OpenAI's error object, or something in its form made of whatever came."""
    try:
        error = response.json()["error"]
        if isinstance(error, Mapping):
            return error
    except (ValueError, KeyError, TypeError):
        pass
    return {"message": response.text[:200].strip() or response.reason}


def _retry_after(response: requests.Response) -> float:
    try:
        seconds = float(response.headers.get("Retry-After", ""))
    except ValueError:
        return _DEFAULT_RETRY_AFTER_SECONDS
    return min(max(seconds, 0.1), _LONGEST_RETRY_AFTER_SECONDS)


def _cause(error: Exception) -> str:
    """The innermost reason, which is the readable one (`Connection refused`)."""
    reason = getattr(error.args[0], "reason", error.args[0]) if error.args else error
    return str(reason).rpartition(": ")[2] or type(error).__name__
