"""Which whisper server gets the next call; which ones rest because they failed."""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stt.errors import ServerBusy, ServerFault, ServerUnavailable
from stt.transcript import Transcript
from stt.whisper_client import Upload, WhisperClient

log = logging.getLogger(__name__)

_FIRST_REST_SECONDS = 0.5
_LONGEST_REST_SECONDS = 10.0
_PATIENCE_STEP_SECONDS = 0.5


@dataclass(slots=True)
class _Server:
    client: WhisperClient
    in_flight: int = 0
    failures: int = 0  # in a row; it is asked for `/ready` before it gets work again
    is_down: bool = False
    rests_until: float = 0.0  # on time.monotonic()

    @property
    def is_rested(self) -> bool:
        return time.monotonic() >= self.rests_until


class ServerPool:
    """Deals calls to the server with the fewest in flight; one that fails rests for a while.

    At most `slots` calls are in flight at once. Safe between threads.
    """

    def __init__(self, clients: Sequence[WhisperClient]) -> None:
        self._servers = [_Server(client) for client in clients]
        self._lock = threading.Lock()
        self._probing = threading.Lock()
        self._slots = threading.BoundedSemaphore(1)
        self._down_since: float | None = None
        self.slots = 1

    @property
    def urls(self) -> str:
        return ", ".join(server.client.url for server in self._servers)

    def tune(self, limit: int) -> int:
        """Sets the calls at once to what the servers say they can take, within 1 and `limit`.

        A server that does not say, or does not answer yet, could take `limit`.
        """
        total = 0
        for server in self._servers:
            try:
                total += server.client.capacity() or limit
                server.rests_until = 0.0
            except ServerBusy as busy:
                total += limit
                self._rest(server, busy.retry_after_seconds)
            except ServerUnavailable:
                total += limit
                self._failed(server)
        self.slots = max(1, min(limit, total))
        self._slots = threading.BoundedSemaphore(self.slots)
        return self.slots

    def wait_until_available(self, stop: threading.Event, give_up_seconds: float) -> None:
        """Returns when a server is ready for calls, or `stop` is set.

        Raises ServerUnavailable after `give_up_seconds` without any server that answers.
        """
        while not stop.is_set():
            with self._lock:
                if any(server.is_rested and server.failures == 0 for server in self._servers):
                    return
                server = min(self._servers, key=lambda server: server.rests_until)
            if stop.wait(max(0.0, server.rests_until - time.monotonic())):
                return
            with self._probing:  # one lane asks, and the others learn of it
                if server.is_rested and server.failures:
                    self._probe(server, give_up_seconds)

    def _probe(self, server: _Server, give_up_seconds: float) -> None:
        try:
            server.client.capacity()
        except ServerBusy as busy:
            self._rest(server, min(busy.retry_after_seconds, _LONGEST_REST_SECONDS))
            self._down_since = None
        except ServerUnavailable as error:
            self._failed(server)
            if self._down_seconds() >= give_up_seconds:
                raise ServerUnavailable(
                    f"No whisper server has answered for {give_up_seconds / 60:g} minutes: {error}"
                ) from error
        else:
            self._succeeded(server)

    def transcribe(
        self, upload: Upload, call_seconds: float, may_start: Callable[[], bool]
    ) -> Transcript | None:
        """One transcript from whichever server can give it; None if `may_start` says no.

        A busy server is asked again for `call_seconds`, another one sooner; one call may take as
        long. Raises ServerUnavailable when no server is left to ask, RequestRefused or
        ServerFault when one failed on this audio, KeyRejected and ConfigError at once.
        """
        deadline: float | None = None
        while True:
            while not self._slots.acquire(timeout=_PATIENCE_STEP_SECONDS):
                if not may_start():
                    return None
            try:
                if not may_start():
                    return None
                deadline = deadline or time.monotonic() + call_seconds
                answer = self._call_any(upload, call_seconds)
            finally:
                self._slots.release()
            if isinstance(answer, Transcript):
                return answer
            if time.monotonic() + answer >= deadline:
                raise ServerUnavailable(f"every whisper server stays busy: {self.urls}")
            ask_again_at = time.monotonic() + answer
            while (rest := ask_again_at - time.monotonic()) > 0:
                if not may_start():
                    return None
                time.sleep(min(rest, _PATIENCE_STEP_SECONDS))

    def _call_any(self, upload: Upload, call_seconds: float) -> Transcript | float:
        """A transcript, or the seconds until a busy server may be asked again."""
        last_error = ServerUnavailable(f"no whisper server answers: {self.urls}")
        while server := self._take():
            try:
                heard = server.client.transcribe(upload, call_seconds)
            except ServerBusy as busy:
                self._rest(server, busy.retry_after_seconds)
            except ServerUnavailable as error:
                self._failed(server)
                last_error = error
            except ServerFault:
                self._failed(server, is_down=False)
                raise
            else:
                self._succeeded(server)
                return heard
            finally:
                with self._lock:
                    server.in_flight -= 1
        with self._lock:
            resting = [server.rests_until for server in self._servers if not server.is_down]
        if not resting:
            raise last_error
        return max(0.05, min(resting) - time.monotonic())

    def _take(self) -> _Server | None:
        with self._lock:
            rested = [server for server in self._servers if server.is_rested]
            if not rested:
                return None
            server = min(rested, key=lambda server: (server.failures, server.in_flight))
            server.in_flight += 1
            return server

    def _rest(self, server: _Server, seconds: float) -> None:
        with self._lock:
            server.rests_until = time.monotonic() + seconds

    def _failed(self, server: _Server, *, is_down: bool = True) -> None:
        with self._lock:
            server.is_down = is_down
            if server.is_rested or not server.failures:  # else other calls saw the same trouble
                server.failures += 1
                longest = min(_FIRST_REST_SECONDS * 2**server.failures, _LONGEST_REST_SECONDS)
                server.rests_until = time.monotonic() + longest * random.uniform(0.5, 1.0)
            if self._down_since is None and all(s.is_down for s in self._servers):
                self._down_since = time.monotonic()
                log.warning("No whisper server answers (%s): waiting, no claims held", self.urls)

    def _succeeded(self, server: _Server) -> None:
        with self._lock:
            server.failures = 0
            server.is_down = False
            server.rests_until = 0.0
            if self._down_since is not None:
                self._down_since = None
                log.info("Whisper server %s answers again", server.client.url)

    def _down_seconds(self) -> float:
        since = self._down_since
        return 0.0 if since is None else time.monotonic() - since
