"""One run of a node: from the coordinator's first answer until there is a reason to stop.

```
greet ─▶ enabled? ─▶ whisper server ─▶ worker ─┬─▶ it stops by itself, or is told to: the end
  │         ▲  no: waits                       │
  │         └──── paused, another model, other rules, its own server died: drained
  └─ removed, here or at any moment later: the end, exit 3
```

The main thread goes this way. A second one, the minder, sends heartbeats while there is no worker
that does, and stops the worker when the coordinator wants something else of this node.
"""

import logging
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import stt
from stt.domain.claim import WorkerReport
from stt.domain.node import Job
from stt.errors import (
    ConfigError,
    DatabaseUnavailable,
    KeyRejected,
    NodeRemoved,
    ServerUnavailable,
    SttError,
)
from stt.node.credentials import Credentials, CredentialsFile
from stt.node.desired_state import DesiredState
from stt.node.fleet_look import FleetMonitor
from stt.node.handshake import agree_on_name, greet
from stt.node.instance_lock import InstanceLock
from stt.node.run_totals import RunTotals
from stt.node.socket import CoordinatorSocket
from stt.node.status import AgentStatus, Phase
from stt.node.whisper_server import WhisperServer, whisper_server
from stt.remote.client import CoordinatorClient
from stt.remote.messages import NodeSettings, ReportMessage
from stt.remote.queue import RemoteQueue
from stt.settings import Settings
from stt.worker.worker import Worker, WorkOptions

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2
_SERVER_LOOK_SECONDS = 5.0
_MAX_REST_SECONDS = 10.0
_SERVER_REST_SECONDS = 15.0
_CONFIG_REST_SECONDS = 300.0
_REMIND_SECONDS = 60.0
_STOP_FIELDS = frozenset({
    "required_empty_checks", "empty_queue_wait_seconds", "idle_timeout_minutes",
    "server_unreachable_minutes", "max_consecutive_failures", "persistent",
})  # fmt: skip
"""Settings that say when to stop: a node that was given one of them heeds them all."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run came to its end by itself, or by Ctrl-C."""

    has_failures: bool
    was_interrupted: bool


def is_persistent(settings: Settings) -> bool:
    """True if this node is to stay through an empty queue and whatever else comes."""
    return settings.persistent or not settings.model_fields_set & _STOP_FIELDS


class NodeAgent:
    """This machine as a node. `run()` it once, from the main thread if signals are to stop it."""

    def __init__(
        self,
        credentials: Credentials,
        file: CredentialsFile,
        settings: Settings,
        lock: InstanceLock,
    ) -> None:
        self._credentials = credentials
        self._file = file
        self._lock = lock
        self._is_persistent = is_persistent(settings)
        self._settings = settings.model_copy(update={"persistent": self._is_persistent})
        self._newest_first = False
        self.client = CoordinatorClient(credentials.server_url, credentials.api_key)
        # The time tells runs apart where the process id does not: in a container it is always 1.
        self.worker_id = f"{credentials.node_id}_{int(time.time())}"
        self._socket = CoordinatorSocket(
            self.client, credentials.node_id, credentials.api_key, self
        )
        self._phase: Phase = "connecting"
        self._detail = ""
        self._remote: RemoteQueue | None = None
        self._worker: Worker | None = None
        self._server: WhisperServer | None = None
        self._desired: DesiredState | None = None  # that the worker works by
        self._server_is_gone = False
        self._removal: KeyRejected | None = None
        self._is_over = threading.Event()
        self._fleet = FleetMonitor(self.client)
        self._totals = RunTotals(self._settings)

    def run(self, *, newest_first: bool = False) -> Ending:
        """Works until there is a reason to stop. Raises the error that ended the run early."""
        self._newest_first = newest_first
        self._remote = self._connect()
        told = self._remote.settings
        self._credentials = agree_on_name(
            self.client, self._credentials, self._file, self._lock, told
        )
        self._socket.start()
        supervisor = threading.Thread(target=self._supervise, name="minder", daemon=True)
        supervisor.start()
        try:
            while (ending := self._serve()) is None:
                pass
            return ending
        finally:
            self._set_phase("stopping")
            self._is_over.set()
            self._socket.stop()

    def view(self) -> AgentStatus:
        server, remote = self._server, self._remote
        told = remote.settings if remote else None
        described = server.description() if server else None
        counts, in_flight = self.progress()
        return AgentStatus(
            phase=self._phase,
            detail=self._detail,
            node_id=self._credentials.node_id,
            name=told.name if told else self._credentials.name,
            server_url=self.client.url,
            is_reached=self.client.is_answered,
            has_channel=self._socket.is_open,
            priority=told.priority if told else 0,
            model=(described.model if described else None) or self._model(told),
            device=described.device if described else None,
            whisper_server=server.urls if server else ", ".join(self._settings.server_urls),
            has_own_server=not self._settings.server_urls,
            jobs=self.jobs(),
            counts=counts,
            in_flight=in_flight,
        )

    def progress(self) -> tuple[dict[str, int], int]:
        """How the chunks of this run have ended so far, and how many are in flight; at once."""
        worker = self._worker
        counts = self._totals.counts(worker.stats if worker else None)
        return counts, worker.in_flight if worker else 0

    def record_page(self, url: str) -> None:
        """Where its page is, for `stt node status`."""
        self._lock.update(page_url=url)
        logger.info("The node's page: %s", url)

    def fleet(self) -> dict[str, Any] | None:
        """The whole queue as the coordinator tells it, a few seconds old; None while it is away."""
        return self._fleet.look()

    # What the channel tells.

    def settings_changed(self, settings: NodeSettings) -> None:
        if self._remote is not None and settings.id == self._credentials.node_id:
            self._remote.settings = settings

    def claims_were_cancelled(self) -> None:
        if self._worker is not None:
            self._worker.check_claims()

    def was_removed(self) -> None:
        if self._removal is None:
            self._removal = NodeRemoved("")

    def jobs(self) -> tuple[Job, ...]:
        worker = self._worker
        return worker.jobs() if worker else ()

    def test(self, limit_seconds: float) -> str:
        """Raises SttError with what is wrong."""
        server = self._server
        if server is None:
            raise SttError(f"The node is {self._phase}" + (self._detail and f": {self._detail}"))
        began = time.monotonic()
        try:
            return server.test(limit_seconds)
        except SttError:
            jobs = len(self.jobs())
            if jobs and time.monotonic() - began >= limit_seconds:
                return f"At work on {jobs} recording(s): a test has to wait its turn behind them"
            raise

    # The way of the main thread.

    def _connect(self) -> RemoteQueue:
        """Gives back what an earlier process still holds, and is told how to work."""
        rest_seconds, remind_at = 0.5, 0.0
        while True:
            try:
                settings = greet(self.client, self._credentials, self._idle_report())
            except DatabaseUnavailable as error:
                if not self._is_persistent:
                    raise
                self._set_phase("connecting", str(error))
                if time.monotonic() >= remind_at:
                    logger.warning("Waits for the coordinator: %s", error)
                    remind_at = time.monotonic() + _REMIND_SECONDS
                time.sleep(rest_seconds * random.uniform(0.5, 1.0))
                rest_seconds = min(rest_seconds * 2, _MAX_REST_SECONDS)
            except NodeRemoved as error:
                raise self._removal_error() from error
            else:
                return self._remote_queue(settings)

    def _serve(self) -> Ending | None:
        """As long as one whisper server will do; None to begin anew."""
        desired = self._wait_until_enabled()
        model = self._model_of(desired)
        self._set_phase("starting")
        try:
            with whisper_server(self._settings, model) as server:
                self._server, self._server_is_gone = server, False
                while not self._server_is_gone:
                    desired = self._wanted()
                    if not desired.is_enabled or self._model_of(desired) != model:
                        return None
                    if (ending := self._work(server, desired)) is not None:
                        return ending
        except NodeRemoved as error:
            raise self._removal_error() from error
        except KeyRejected:
            raise
        except ConfigError as error:
            if desired.model is None:  # it is for this machine's own settings to mend
                raise
            logger.error("Cannot work as the coordinator wants: %s", error)
            self._wait_for_another(desired, str(error), _CONFIG_REST_SECONDS)
        except ServerUnavailable as error:
            if not self._is_persistent:
                raise
            logger.warning("%s; tries again in %g s", error, _SERVER_REST_SECONDS)
            self._wait_for_another(desired, str(error), _SERVER_REST_SECONDS)
        finally:
            self._server = None
        return None

    def _work(self, server: WhisperServer, desired: DesiredState) -> Ending | None:
        """One worker, until it stops; None if another one has to go on."""
        assert self._remote is not None
        rest = self._totals.rest()
        if rest is None:
            return Ending(self._totals.has_failures, was_interrupted=False)
        settings = desired.applied_to(server.settings).model_copy(
            update={"max_minutes": rest.minutes}
        )
        options = WorkOptions(
            rest.chunks,
            self._newest_first,
            watch=self._is_persistent,
            report_seconds=desired.rules.heartbeat_seconds,
        )
        remote = self._remote = self._remote_queue(self._remote.settings)
        worker = Worker(remote.queue(), settings, options, self.worker_id)
        self._desired, self._worker = desired, worker
        self._set_phase("working")
        try:
            worker.run()
        except DatabaseUnavailable:
            if not self._is_persistent:
                raise
            self._is_over.wait(1.0)  # away just when the worker began
        except SttError:
            if self._removal is not None:
                raise self._removal_error() from None
            raise
        finally:
            self._set_phase("stopping")
            self._worker, self._desired = None, None
            self._totals.add(worker.stats)
        if self._removal is not None:
            raise self._removal_error()
        if worker.was_interrupted or not worker.was_asked_to_stop:
            return Ending(self._totals.has_failures, worker.was_interrupted)
        return None

    def _wait_until_enabled(self) -> DesiredState:
        is_logged = False
        while not (desired := self._wanted()).is_enabled:
            if not is_logged:
                is_logged = True
                self._set_phase("paused", "a person has paused it at the coordinator")
                logger.info("Paused by the coordinator: waits until it is let to work again")
            self._is_over.wait(_LOOK_SECONDS)
        if is_logged:
            logger.info("The coordinator lets this node work again")
        return desired

    def _wait_for_another(self, desired: DesiredState, why: str, seconds: float) -> None:
        """Until the coordinator wants something else of this node, at most so long."""
        self._set_phase("waiting", why)
        until = time.monotonic() + seconds
        while self._wanted() == desired and time.monotonic() < until:
            self._is_over.wait(_LOOK_SECONDS)

    def _wanted(self) -> DesiredState:
        """Raises NodeRemoved."""
        if self._removal is not None:
            raise self._removal_error()
        assert self._remote is not None
        return DesiredState.of(self._remote.settings)

    def _removal_error(self) -> KeyRejected:
        if self._removal is not None and not isinstance(self._removal, NodeRemoved):
            return self._removal
        return NodeRemoved(
            f"This node was removed from {self.client.url}: it stops. To join again:"
            f" `stt node unregister`, then `stt node register`."
        )

    # The minder's.

    def _supervise(self) -> None:
        report_at, look_at = 0.0, 0.0
        while not self._is_over.wait(_LOOK_SECONDS):
            assert self._remote is not None
            now = time.monotonic()
            try:
                if self._worker is not None:
                    self._apply_desired_state(self._worker)
                    if self._server is not None and now >= look_at:
                        look_at = now + _SERVER_LOOK_SECONDS
                        self._server_is_gone = self._server.is_gone()
                elif self._phase != "stopping" and now >= report_at and self._removal is None:
                    report_at = now + self._remote.settings.rules.heartbeat_seconds
                    self._remote.report(self.worker_id, self._idle())
            except KeyRejected as error:
                self._removal = error
            except SttError as error:
                logger.debug("minder: %s", error)
            except Exception:  # whatever it is, the node must not lose its minder
                logger.exception("minder")

    def _apply_desired_state(self, worker: Worker) -> None:
        """Stops a worker that goes by what is no longer true."""
        desired = self._desired
        if self._removal is None and self._remote is not None:
            self._removal = self._remote.rejection  # a heartbeat hears it first, if no socket does
        if self._removal is not None:
            worker.stop("this node was removed from the coordinator", at_once=True)
        elif self._server_is_gone:
            worker.stop("the node's own whisper server is gone: starts it anew")
        elif desired is not None and (wanted := self._wanted()) != desired:
            if not wanted.is_enabled:
                worker.stop("paused by the coordinator")
            elif wanted.model != desired.model:
                worker.stop(f"another model is wanted: {wanted.model or 'our own choice'}")
            else:
                worker.stop("the coordinator has other rules now")

    def _idle(self) -> WorkerReport:
        return WorkerReport(
            host=self._credentials.node_id,
            pid=os.getpid(),
            version=stt.__version__,
            server=self._server.urls if self._server else "",
            state=self._phase,
            slots=0,
            chunks=(),
            counts=self._totals.counts(),
        )

    def _idle_report(self) -> ReportMessage:
        return ReportMessage.of(self.worker_id, self._idle())

    def _remote_queue(self, settings: NodeSettings) -> RemoteQueue:
        return RemoteQueue(self.client, settings, self.worker_id, long_poll=True)

    def _model(self, told: NodeSettings | None) -> str | None:
        return (told.model if told else None) or self._settings.model

    def _model_of(self, desired: DesiredState) -> str | None:
        return desired.model or self._settings.model

    def _set_phase(self, phase: Phase, detail: str = "") -> None:
        self._detail = detail
        self._phase = phase


@contextmanager
def registered_node(settings: Settings) -> Iterator[NodeAgent]:
    """The node of this machine, which no other process is meanwhile. Raises ConfigError."""
    file = CredentialsFile(settings.config_dir)
    credentials = file.load()
    lock = InstanceLock(file.folder)
    with lock.held():
        yield NodeAgent(credentials, file, settings, lock)
