"""The whisper server that a node works with: one that was configured, or one of its own."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

import requests
from urllib3.exceptions import HTTPError

from stt.errors import ServerUnavailable
from stt.local.whisper_server import whisper_servers
from stt.settings import Settings
from stt.system.http import MAX_SHORT_ANSWER_BYTES, fetch, http_session
from stt.system.single_flight import SingleFlight
from stt.whisper.canary import canary_failure
from stt.whisper.client import WhisperClient

_TIMEOUT_SECONDS = 3.0
_KEEP_SECONDS = 30.0
_MAX_FAILED_CHECKS = 3


@dataclass(frozen=True, slots=True)
class Description:
    """A server's description of itself; None where it gives none."""

    model: str | None = None
    device: str | None = None


class WhisperServer:
    """The servers of one run, and `settings` for a worker that uses them. Safe between threads."""

    def __init__(self, settings: Settings, *, is_own: bool) -> None:
        self.settings = settings
        self.is_own = is_own
        key = settings.api_key
        self._key = key.get_secret_value() if key else None
        self._clients = [
            WhisperClient(url, self._key, settings.model) for url in settings.server_urls
        ]
        self._failed_checks = 0
        self._latest = Description()
        self._description = SingleFlight(self._request_description, keep_seconds=_KEEP_SECONDS)

    @property
    def urls(self) -> str:
        return ", ".join(client.url for client in self._clients)

    @property
    def is_gone(self) -> bool:
        """True if a server of our own failed several checks in a row: only a node restarts it."""
        return self._failed_checks >= _MAX_FAILED_CHECKS

    def check(self) -> None:
        """Check that a server of our own is ready."""
        if self.is_own:
            try:
                self._clients[0].ready(_TIMEOUT_SECONDS)
            except ServerUnavailable:  # also while it loads its model, which was loaded already
                self._failed_checks += 1
            else:
                self._failed_checks = 0

    def test(self, timeout_seconds: float) -> str:
        """Let every server transcribe a short recording, and return how that went.

        Raises SttError with what went wrong.
        """
        began = time.monotonic()
        for client in self._clients:
            if (failure := canary_failure(client, timeout_seconds)) is not None:
                raise failure
        seconds = time.monotonic() - began
        model = self.description().model
        return (
            f"Transcribed a short recording{f' with {model}' if model else ''} in {seconds:.1f} s"
        )

    def description(self) -> Description:
        """Return the first server's description of itself, requested every now and then."""
        return self._description.get()

    def _request_description(self) -> Description:
        """Return the latest one if the server is not a whisper_server of this project."""
        url = self._clients[0].url
        with (
            contextlib.suppress(
                requests.RequestException, HTTPError, ValueError, KeyError, TypeError
            ),
            http_session(url, self._key) as session,
        ):
            answer = fetch(
                session,
                "GET",
                f"{url}/system",
                timeout=_TIMEOUT_SECONDS,
                total_seconds=_TIMEOUT_SECONDS,
                max_bytes=MAX_SHORT_ANSWER_BYTES,
            )
            model = answer.json()["model"]
            device = f"{model['device']}, {model['compute_type']}"
            self._latest = Description(str(model["name"]), device)
        return self._latest


@contextlib.contextmanager
def whisper_server(settings: Settings, model: str | None) -> Iterator[WhisperServer]:
    """Use the servers of `settings` with `model`; else start one that has it.

    Raises ConfigError and ServerUnavailable as `local_server` does.
    """
    own = {"model": model, "keep_alive_seconds": 0.0}  # a node that is stopped frees its memory
    with whisper_servers(settings.model_copy(update=own)) as with_servers:
        yield WhisperServer(with_servers, is_own=not settings.server_urls)
