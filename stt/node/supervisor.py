"""A node's background thread: send heartbeats, and enforce the coordinator's desired state.

A running worker sends the heartbeats itself; the supervisor then stops it once the coordinator
desires another state, has removed the node, or the node's own whisper server is gone.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from stt.errors import SttError
from stt.node.whisper_server import WhisperServer
from stt.remote.membership import Membership
from stt.remote.messages import DesiredState, ReportMessage
from stt.worker.worker import Worker

logger = logging.getLogger(__name__)

_CHECK_SECONDS = 0.2
_SERVER_CHECK_SECONDS = 5.0


class Supervisor:
    """Runs between `start()` and `stop()`; `idle_report` makes heartbeats without a worker."""

    def __init__(self, membership: Membership, idle_report: Callable[[], ReportMessage]) -> None:
        self._membership = membership
        self._idle_report = idle_report
        self._supervised: tuple[Worker, DesiredState, WhisperServer] | None = None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()

    @contextmanager
    def supervising(
        self, worker: Worker, desired: DesiredState, server: WhisperServer
    ) -> Iterator[None]:
        """Stop `worker`, which was started for `desired`, once it must not go on."""
        self._supervised = worker, desired, server
        try:
            yield
        finally:
            self._supervised = None

    def _run(self) -> None:
        report_at = check_server_at = 0.0
        while not self._is_over.wait(_CHECK_SECONDS):
            supervised, now = self._supervised, time.monotonic()
            try:
                if supervised is not None:
                    worker, desired, server = supervised
                    self._enforce(worker, desired, server)
                    if now >= check_server_at:
                        check_server_at = now + _SERVER_CHECK_SECONDS
                        server.check()
                elif now >= report_at and self._membership.rejection is None:
                    report = self._idle_report()
                    if report.state != "stopping":  # then the worker's last report stands
                        report_at = now + self._membership.settings.rules.heartbeat_seconds
                        self._membership.report(report)
            except SttError as error:
                logger.debug("supervisor: %s", error)
            except Exception:  # whatever it is, the node must not lose its supervisor
                logger.exception("supervisor")

    def _enforce(self, worker: Worker, desired: DesiredState, server: WhisperServer) -> None:
        now_desired = self._membership.settings.desired_state
        if self._membership.rejection is not None:
            worker.stop("this node was removed from the coordinator", at_once=True)
        elif server.is_gone:
            worker.stop("the node's own whisper server is gone: starts it anew")
        elif not now_desired.is_enabled:
            worker.stop("paused by the coordinator")
        elif now_desired.model != desired.model:
            worker.stop(f"another model is wanted: {now_desired.model or 'our own choice'}")
        elif now_desired != desired:
            worker.stop("the coordinator has other rules now")
