"""Which whisper server gets the next call, and whether a failed call charges the chunk."""

import logging
import threading
import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import NoReturn, Self

from stt.domain.transcript import Transcript
from stt.errors import (
    AnswerCutOff,
    ChunkError,
    NoTranscript,
    ServerBusy,
    ServerDied,
    ServerFault,
    ServerUnavailable,
    UploadCutOff,
)
from stt.settings import DEFAULT_SERVER_URL, Settings
from stt.whisper.canary import is_same_process
from stt.whisper.client import Upload, WhisperClient
from stt.whisper.health import PoolRules, ServerHealth, urls_of
from stt.whisper.server_state import ServerState

logger = logging.getLogger(__name__)

_WAIT_STEP_SECONDS = 0.5
_MAX_BROKEN_OFF = 3


@dataclass(slots=True)
class _Call:
    """One upload, and the servers that it should avoid."""

    upload: Upload
    limit_seconds: float
    may_start: Callable[[], bool]
    avoid: Set[str]
    isolated: bool
    broken_off: int = 0


class ServerPool:
    """Gives each call to the server that is expected to finish it first.

    So each server gets work in proportion to its speed, and one that fails backs off. At most
    `slots` calls are in flight at once. A chunk is charged with a failure only if the server
    passes a canary right after, or died although it had done something right just before. Safe
    between threads.
    """

    def __init__(self, clients: Sequence[WhisperClient], rules: PoolRules | None = None) -> None:
        self._servers = [ServerState(client) for client in clients]
        self._health = ServerHealth(self._servers, rules or PoolRules())
        self._slots = threading.BoundedSemaphore(1)
        self.slots = 1

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Make the pool of the servers in the settings, or of the one on this machine."""
        key = settings.api_key.get_secret_value() if settings.api_key else None
        urls = settings.server_urls or (DEFAULT_SERVER_URL,)
        clients = [WhisperClient(url, key, settings.model) for url in urls]
        return cls(clients, PoolRules.of(settings))

    @property
    def urls(self) -> str:
        return urls_of(self._servers)

    def tune(self, limit: int) -> int:
        """Set the calls at once to what the servers can take, within 1 and `limit`.

        A server that does not say, or does not answer yet, counts as able to take `limit`.
        """
        for server in self._servers:
            server.capacity = limit
            try:
                self._health.record_readiness(server, server.client.ready())
            except ServerBusy as busy:
                self._health.back_off(server, busy.retry_after_seconds)
            except ServerUnavailable as error:
                self._health.failed(server, error)
        total = sum(server.capacity for server in self._servers)
        self.slots = max(1, min(limit, total))
        self._slots = threading.BoundedSemaphore(self.slots)
        return self.slots

    def wait_until_available(self, stop: threading.Event) -> None:
        """Return when a server is ready for calls, or `stop` is set.

        Raises ServerUnavailable when the rules say to give up, as ServersBroken if the servers
        answer but do nothing right.
        """
        self._health.wait_until_available(stop)

    def transcribe(
        self,
        upload: Upload,
        call_seconds: float,
        may_start: Callable[[], bool],
        avoid: Set[str] = frozenset(),
        *,
        isolated: bool = False,
    ) -> Transcript | None:
        """Return the transcript from the best server; None once `may_start` returns False.

        Busy servers are asked again for `call_seconds`, and one call may take as long. Servers in
        `avoid` are asked only if there is no other. `isolated`: a server died with this audio
        before, so an unproven server must pass a canary first, or its death would prove nothing.
        Raises ServerUnavailable when no server is left to ask; RequestRefused, ServerFault or
        ServerDied when the audio was the cause, as far as can be known; KeyRejected and
        ConfigError at once.
        """
        call = _Call(upload, call_seconds, may_start, avoid, isolated)
        deadline: float | None = None
        while True:
            while not self._slots.acquire(timeout=_WAIT_STEP_SECONDS):
                if not may_start():
                    return None
            try:
                if not may_start():
                    return None
                deadline = deadline or time.monotonic() + call_seconds
                answer = self._call_any(call)
            finally:
                self._slots.release()
            if isinstance(answer, Transcript):
                return answer
            ask_again_at = time.monotonic() + answer
            if ask_again_at >= deadline:
                raise ServerUnavailable(f"every whisper server stays busy: {self.urls}")
            while (back_off := ask_again_at - time.monotonic()) > 0:
                if not may_start():
                    return None
                time.sleep(min(back_off, _WAIT_STEP_SECONDS))

    def _call_any(self, call: _Call) -> Transcript | float:
        """Return a transcript, or the seconds until a busy server may be asked again."""
        last_error = ServerUnavailable(f"no whisper server answers: {self.urls}")
        while server := self._take(call):
            try:
                if call.isolated and not server.is_proven and not self._health.run_canary(server):
                    last_error = ServerUnavailable(f"{server.url} has not passed a canary")
                    continue
                return self._ask(server, call)
            except ServerUnavailable as error:
                last_error = error
            finally:
                with self._health.lock:
                    server.ended(call.upload.seconds)
            if not call.may_start():
                break
        with self._health.lock:
            resting = [server.retry_at for server in self._servers if server.is_healthy]
        if not resting:
            raise last_error
        return max(0.05, min(resting) - time.monotonic())

    def _take(self, call: _Call) -> ServerState | None:
        """Return the server that is expected to finish this call first, by measured speed.

        One that was not measured yet counts as fast as the fastest, and so gets measured.
        """
        seconds = call.upload.seconds
        with self._health.lock:
            ready = [server for server in self._servers if server.is_healthy and server.is_due]
            ready = [server for server in ready if server.url not in call.avoid] or ready
            if not ready:
                return None
            rates = {server.url: server.speed.rate for server in self._servers}
            fastest = max((rate for rate in rates.values() if rate is not None), default=1.0)

            def cost(server: ServerState) -> tuple[bool, float, int]:
                rate = rates[server.url] or fastest
                return server.has_queue, server.expected_seconds(seconds, rate), server.calls

            server = min(ready, key=cost)
            server.began(seconds)
            return server

    def _ask(self, server: ServerState, call: _Call) -> Transcript:
        """Make the call. Raises ServerUnavailable if it may be tried elsewhere."""
        instance, started = server.instance, time.monotonic()
        try:
            transcript = server.client.transcribe(call.upload, call.limit_seconds)
        except ServerBusy as busy:
            self._health.back_off(server, busy.retry_after_seconds)
            raise
        except (UploadCutOff, AnswerCutOff, NoTranscript) as error:
            self._assign_blame_for_break(server, instance, call, error)
        except ServerUnavailable as error:
            with self._health.lock:
                server.failed_calls += server.is_healthy  # once for all that fail together
            self._health.failed(server, error)
            raise
        except ChunkError as error:
            self._assign_blame(server, call, error)
        else:
            with self._health.lock:
                server.speed.measured(call.upload.seconds, time.monotonic() - started)
            self._health.succeeded(server)
            return transcript

    def _assign_blame_for_break(
        self,
        server: ServerState,
        instance: str | None,
        call: _Call,
        error: UploadCutOff | AnswerCutOff | NoTranscript,
    ) -> NoReturn:
        """Raise what a connection that broke after the upload began means: did the server die?"""
        if not is_same_process(server.client, instance):
            with self._health.lock:
                server.needs_canary = True  # it may die of any upload
            self._health.failed(server, error)
            if isinstance(error, UploadCutOff):  # it did not have all of it
                raise error
            raise ServerDied(f"the server died over it: {error}", server.url) from error
        call.broken_off += 1
        if call.broken_off < _MAX_BROKEN_OFF:
            raise error
        if isinstance(error, AnswerCutOff):
            died = ServerDied(f"every answer broke off, at last: {error}", server.url)
            self._assign_blame(server, call, died)
        self._assign_blame(server, call, ServerFault(str(error), server.url))

    def _assign_blame(self, server: ServerState, call: _Call, error: ChunkError) -> NoReturn:
        """Charge the chunk if the server passes a canary, else not."""
        if not call.may_start():
            raise ServerUnavailable(f"the worker stops: {error}") from error
        passed = self._health.run_canary(server)
        if passed:
            raise error
        if passed is None:
            raise ServerUnavailable(f"the cause is unknown: {error}") from error
        raise ServerUnavailable(f"the server fails on anything: {error}") from error
