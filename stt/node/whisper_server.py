"""The whisper server that a node works with: one that was named, or one of its own."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import requests

from stt.errors import ServerUnavailable
from stt.local.stack import local_server
from stt.settings import Settings
from stt.system.net import is_loopback
from stt.whisper.canary import canary_failure
from stt.whisper.client import WhisperClient

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 3.0
_KEPT_SECONDS = 30.0
_SILENT_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Description:
    """What a server says of itself; None where it does not say."""

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
        self._silent_looks = 0
        self._description = Description()
        self._described_at = float("-inf")
        self._lock = threading.Lock()

    @property
    def urls(self) -> str:
        return ", ".join(client.url for client in self._clients)

    def is_gone(self) -> bool:
        """True if our own server is silent at a few looks in a row: nobody else brings it back."""
        if not self.is_own:
            return False
        try:
            self._clients[0].ready(_LOOK_SECONDS)
        except ServerUnavailable:  # a busy one is one, too
            self._silent_looks += 1
        else:
            self._silent_looks = 0
        return self._silent_looks >= _SILENT_LOOKS

    def test(self, limit_seconds: float) -> str:
        """Has every server transcribe a short recording, and says how that went.

        Raises SttError with what went wrong.
        """
        began = time.monotonic()
        for client in self._clients:
            if (failure := canary_failure(client, limit_seconds)) is not None:
                raise failure
        seconds = time.monotonic() - began
        model = self.description().model
        return (
            f"Transcribed a short recording{f' with {model}' if model else ''} in {seconds:.1f} s"
        )

    def description(self) -> Description:
        """What the first server says of itself, asked now and then."""
        with self._lock:
            if time.monotonic() - self._described_at > _KEPT_SECONDS:
                self._description = self._asked() or self._description
                self._described_at = time.monotonic()
            return self._description

    def _asked(self) -> Description | None:
        """None if it does not say: only our own kind of server does."""
        url = self._clients[0].url
        with requests.Session() as session:
            session.trust_env = not is_loopback(url)
            if self._key:
                session.headers["Authorization"] = f"Bearer {self._key}"
            with contextlib.suppress(requests.RequestException, ValueError, KeyError, TypeError):
                answer = session.get(f"{url}/system", timeout=_LOOK_SECONDS, allow_redirects=False)
                told = answer.json()["model"]
                return Description(str(told["name"]), f"{told['device']}, {told['compute_type']}")
        return None


@contextlib.contextmanager
def whisper_server(settings: Settings, model: str | None) -> Iterator[WhisperServer]:
    """The servers of `settings.server_urls`, asked for `model`; else one of our own, with it.

    Raises ConfigError and ServerUnavailable as `local_server` does.
    """
    if settings.server_urls:
        yield WhisperServer(settings.model_copy(update={"model": model}), is_own=False)
        return
    with local_server(settings, model) as url:
        # It has one model, and may know that by another name than a folder's.
        own = settings.model_copy(update={"server_urls": (url,), "model": None})
        yield WhisperServer(own, is_own=True)
