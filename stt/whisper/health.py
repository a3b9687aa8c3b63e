"""Which whisper servers are healthy, which back off after a failure, and when to give up."""

import logging
import threading
import time
from collections.abc import Sequence
from math import inf

from stt.errors import (
    ConfigError,
    KeyRejected,
    ServerBusy,
    ServersBroken,
    ServerUnavailable,
    SttError,
)
from stt.settings import Settings
from stt.whisper.canary import canary_failure
from stt.whisper.client import PROBE_SECONDS
from stt.whisper.server_state import ServerState

logger = logging.getLogger(__name__)

_CHECK_SECONDS = 0.1
_MAX_BUSY_PROBE_SECONDS = 5.0


class ServerHealth:
    """The states of all servers, guarded by `lock`. Safe between threads.

    A canary is a short recording that any server can transcribe. It gets as much time as a call,
    for it may wait as long in the server's queue.
    """

    def __init__(self, servers: Sequence[ServerState], settings: Settings) -> None:
        stays = settings.persistent
        self.lock = threading.Lock()
        self._servers = servers
        self._give_up_minutes = inf if stays else settings.server_unreachable_minutes
        self._max_broken = inf if stays else settings.max_consecutive_failures
        self._canary_seconds = settings.chunk_timeout_seconds
        self._down_since = inf  # all of them, on time.monotonic()
        self._is_waiting = False  # as was logged
        self._broken_in_a_row = 0
        self.last_error: SttError | None = None
        self._fatal: SttError | None = None

    def wait_until_available(self, stop: threading.Event) -> None:
        """Return when a server is ready for calls, or `stop` is set.

        Raises ServerUnavailable when the settings say to give up, as ServersBroken if the servers
        answer but do nothing right.
        """
        while not stop.is_set():
            with self.lock:
                self._raise_if_given_up()
                is_available = any(s.is_healthy and s.is_due for s in self._servers)
            self.start_probes()
            if is_available:
                return
            stop.wait(_CHECK_SECONDS)

    def start_probes(self) -> None:
        """Begin to check the servers that failed and have rested since."""
        with self.lock:
            due = [s for s in self._servers if not (s.is_healthy or s.is_probed) and s.is_due]
            for server in due:
                server.is_probed = True
        for server in due:  # in threads: an address that does not answer takes long
            threading.Thread(target=self._probe, args=(server,), daemon=True).start()

    def _raise_if_given_up(self) -> None:
        if self._fatal is not None:
            raise self._fatal
        last_error = self.last_error
        is_any_well = any(server.is_healthy for server in self._servers)
        if self._broken_in_a_row >= self._max_broken and not is_any_well:
            raise ServersBroken(
                f"{self._broken_in_a_row} times in a row a whisper server failed even on a"
                f" recording that any server can do. See its log: {last_error}"
            ) from last_error
        if time.monotonic() - self._down_since >= self._give_up_minutes * 60:
            raise ServerUnavailable(
                f"No whisper server has answered for {self._give_up_minutes:g} minutes:"
                f" {last_error}"
            ) from last_error

    def _probe(self, server: ServerState) -> None:
        """Check a server that failed; one that needs a canary has to pass it."""
        try:
            self.check_ready(server)
            if server.needs_canary:
                self.run_canary(server)
            else:
                with self.lock:
                    self._recovered(server)
        except ServerUnavailable as error:
            self.failed(server, error, max_back_off_seconds=_MAX_BUSY_PROBE_SECONDS)
        except SttError as error:
            self._fatal = error
        finally:
            server.is_probed = False

    def run_canary(self, server: ServerState) -> bool | None:
        """Return whether the server passes a canary; None if it is busy, away or set aside."""
        asked_at = time.monotonic()
        with server.canary_lock:
            if server.tried_at > asked_at:
                return server.verdict  # another thread has just run it
            server.verdict = None
            try:
                failure = canary_failure(server.client, self._canary_seconds)
            except ServerUnavailable as error:
                self.failed(server, error)
            except ConfigError as error:
                self.set_aside(server, error)
            else:
                server.verdict = failure is None
                if failure is None:
                    self.succeeded(server)
                else:
                    self._record_broken(server, failure)
            finally:
                server.tried_at = time.monotonic()
            return server.verdict

    def check_ready(self, server: ServerState, limit_seconds: float = PROBE_SECONDS) -> None:
        """Record what the server answers to `/ready`; that alone does not make it healthy.

        Raises ServerUnavailable if it is busy or away.
        """
        ready = server.client.ready(limit_seconds)
        with self.lock:
            server.capacity = ready.capacity or server.capacity
            server.instance = ready.instance

    def failed(
        self,
        server: ServerState,
        error: ServerUnavailable,
        *,
        is_call: bool = False,
        max_back_off_seconds: float = inf,
    ) -> None:
        """Record that the server is busy, does not answer, or not as a whisper server.

        A busy one is let alone for as long as it asked, or for `max_back_off_seconds`.
        """
        with self.lock:
            if isinstance(error, ServerBusy):
                server.back_off(min(error.retry_after_seconds, max_back_off_seconds))
                server.is_down = False
                self._down_since = inf
                return
            # Once for all calls that fail together.
            server.failed_calls += is_call and server.is_healthy
            server.failed(is_down=True)
            is_new = server.error is None
            self.last_error = server.error = error
            if not self._is_last_down() and is_new:
                logger.warning("Whisper server is away: %s", error, extra={"server": server.url})

    def set_aside(self, server: ServerState, error: ConfigError) -> None:
        """Record that the server can do no call as this worker is set up; the others go on.

        Raises ConfigError, or KeyRejected, if all servers are set aside now.
        """
        with self.lock:
            is_new = not server.is_set_aside
            server.set_aside()
            self.last_error = server.error = error
            if all(s.is_set_aside for s in self._servers):
                self._fatal = self._error_of_all()
                raise self._fatal
            if not self._is_last_down() and is_new:
                message = "Whisper server is set aside, and asked again now and then: %s"
                logger.error(message, error, extra={"server": server.url})

    def _error_of_all(self) -> ConfigError:
        """Return why all servers are set aside, as one error."""
        reasons = [server.error for server in self._servers]
        kind = KeyRejected if all(isinstance(r, KeyRejected) for r in reasons) else ConfigError
        return kind("; ".join(map(str, reasons)))

    def _is_last_down(self) -> bool:
        """Note since when no server answers; return whether that was just logged."""
        if self._down_since < inf or not all(s.is_down for s in self._servers):
            return False
        self._down_since = time.monotonic()
        if not self._is_waiting:
            self._is_waiting = True
            self._log_that_none_answers()
        return True

    def _log_that_none_answers(self) -> None:
        minutes, end = self._give_up_minutes, ""
        if minutes < inf:
            end = f", gives up after {minutes:g} min (--server-unreachable-minutes)"
        causes = "; ".join(str(server.error) for server in self._servers)
        logger.warning("No whisper server answers (%s): waits, holds no chunk%s", causes, end)

    def _record_broken(self, server: ServerState, failure: SttError) -> None:
        with self.lock:
            self.last_error = server.error = failure
            server.failed(is_down=False)
            server.needs_canary = True
            self._broken_in_a_row += 1
            logger.warning(
                "Whisper server %s fails even on a recording that any server can do"
                " (%d in a row): %s",
                server.url,
                self._broken_in_a_row,
                failure,
                extra={"server": server.url},
            )

    def succeeded(self, server: ServerState) -> None:
        """Record that the server did a call or a canary right."""
        with self.lock:
            server.succeeded()
            self._broken_in_a_row = 0
            self._recovered(server)

    def _recovered(self, server: ServerState) -> None:
        server.recovered()
        self._down_since = inf
        self._is_waiting = False
        if server.error is not None:
            server.error = None
            message = "Whisper server %s answers again"
            logger.info(message, server.url, extra={"server": server.url})
