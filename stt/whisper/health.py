"""Which whisper servers are healthy, which back off after a failure, and when to give up."""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from stt.errors import ServerBusy, ServersBroken, ServerUnavailable, SttError
from stt.settings import Settings
from stt.whisper.canary import canary_failure
from stt.whisper.client import Readiness
from stt.whisper.server_state import ServerState

logger = logging.getLogger(__name__)

_CHECK_SECONDS = 0.1
_MAX_BUSY_PROBE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class PoolRules:
    """When a worker gives up on its servers; None means never.

    `give_up_seconds`: without an answer of any server. `max_broken`: canaries that failed in a
    row. A canary is a short recording that any server can transcribe; `canary_seconds` is its
    timeout, as long as a call's, for it may wait as long in the server's queue.
    """

    give_up_seconds: float | None = 300.0
    max_broken: int | None = 3
    canary_seconds: float = 30.0

    @classmethod
    def of(cls, settings: Settings) -> "PoolRules":
        stays = settings.persistent
        return cls(
            give_up_seconds=None if stays else settings.server_unreachable_minutes * 60,
            max_broken=None if stays else settings.max_consecutive_failures,
            canary_seconds=settings.chunk_timeout_seconds,
        )


def urls_of(servers: Sequence[ServerState]) -> str:
    return ", ".join(server.url for server in servers)


class ServerHealth:
    """The states of all servers, guarded by `lock`. Safe between threads."""

    def __init__(self, servers: Sequence[ServerState], rules: PoolRules) -> None:
        self.lock = threading.Lock()
        self._servers = servers
        self._rules = rules
        self._down_since: float | None = None
        self._is_waiting = False  # as was logged
        self._failing: dict[str, SttError] = {}  # by URL, as was logged
        self._broken_in_a_row = 0
        self._last_error: SttError | None = None
        self._fatal: SttError | None = None

    def wait_until_available(self, stop: threading.Event) -> None:
        """See `ServerPool.wait_until_available`."""
        while not stop.is_set():
            with self.lock:
                self._raise_if_given_up()
                due = [s for s in self._servers if not (s.is_healthy or s.is_probed) and s.is_due]
                for server in due:
                    server.is_probed = True
                is_available = any(s.is_healthy and s.is_due for s in self._servers)
            for server in due:  # in threads: an address that does not answer takes long
                threading.Thread(target=self._probe, args=(server,), daemon=True).start()
            if is_available:
                return
            stop.wait(_CHECK_SECONDS)

    def _raise_if_given_up(self) -> None:
        if self._fatal is not None:
            raise self._fatal
        rules, last_error = self._rules, self._last_error
        is_any_well = any(server.is_healthy for server in self._servers)
        is_limit_reached = (
            rules.max_broken is not None and self._broken_in_a_row >= rules.max_broken
        )
        if is_limit_reached and not is_any_well:
            raise ServersBroken(
                f"{self._broken_in_a_row} times in a row a whisper server failed even on a"
                f" recording that any server can do. See its log: {last_error}"
            ) from last_error
        seconds = rules.give_up_seconds
        if seconds is None or self._down_since is None:
            return
        if time.monotonic() - self._down_since >= seconds:
            raise ServerUnavailable(
                f"No whisper server has answered for {seconds / 60:g} minutes: {last_error}"
            ) from last_error

    def _probe(self, server: ServerState) -> None:
        """Check a server that failed; one that needs a canary has to pass it."""
        try:
            self.record_readiness(server, server.client.ready())
            if server.needs_canary:
                self.run_canary(server)
            else:
                self._record_recovery(server)
        except ServerBusy as busy:
            self.back_off(server, min(busy.retry_after_seconds, _MAX_BUSY_PROBE_SECONDS))
        except ServerUnavailable as error:
            self.failed(server, error)
        except SttError as error:
            self._fatal = error
        finally:
            server.is_probed = False

    def run_canary(self, server: ServerState) -> bool | None:
        """Return whether the server passes a canary; None if it is busy or away."""
        asked_at = time.monotonic()
        with server.canary_lock:
            if server.tried_at > asked_at:
                return server.verdict  # another thread has just run it
            server.verdict = None
            try:
                failure = canary_failure(server.client, self._rules.canary_seconds)
            except ServerBusy as busy:
                self.back_off(server, busy.retry_after_seconds)
            except ServerUnavailable as error:
                self.failed(server, error)
            else:
                server.verdict = failure is None
                if failure is None:
                    self.succeeded(server)
                else:
                    self._record_broken(server, failure)
            finally:
                server.tried_at = time.monotonic()
            return server.verdict

    def record_readiness(self, server: ServerState, ready: Readiness) -> None:
        """Record what `/ready` said; that alone does not make a server healthy."""
        with self.lock:
            server.capacity = ready.capacity or server.capacity
            server.instance = ready.instance

    def back_off(self, server: ServerState, seconds: float) -> None:
        """Let a busy server alone for as long as it asked."""
        with self.lock:
            server.back_off(seconds)
            server.is_down = False
            self._down_since = None

    def failed(self, server: ServerState, error: SttError) -> None:
        """Record that the server does not answer, or not as a whisper server."""
        with self.lock:
            server.failed(is_down=True)
            self._last_error = error
            is_new = server.url not in self._failing
            self._failing[server.url] = error
            if self._down_since is None and all(s.is_down for s in self._servers):
                self._down_since = time.monotonic()
                if not self._is_waiting:
                    self._is_waiting = True
                    self._log_that_none_answers()
            elif is_new:
                logger.warning("Whisper server is away: %s", error, extra={"server": server.url})

    def _log_that_none_answers(self) -> None:
        seconds = self._rules.give_up_seconds
        end = ""
        if seconds is not None:
            end = f", gives up after {seconds / 60:g} min (--server-unreachable-minutes)"
        causes = "; ".join(str(self._failing[server.url]) for server in self._servers)
        logger.warning("No whisper server answers (%s): waits, holds no chunk%s", causes, end)

    def _record_broken(self, server: ServerState, failure: SttError) -> None:
        with self.lock:
            self._last_error = self._failing[server.url] = failure
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
        self._record_recovery(server)

    def _record_recovery(self, server: ServerState) -> None:
        with self.lock:
            server.recovered()
            self._down_since = None
            self._is_waiting = False
            if self._failing.pop(server.url, None) is not None:
                logger.info(
                    "Whisper server %s answers again", server.url, extra={"server": server.url}
                )
