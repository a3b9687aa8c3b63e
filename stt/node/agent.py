"""One run of a node: from the coordinator's first answer until there is a reason to stop.

```
handshake ─▶ enabled? ─▶ whisper server ─▶ worker ─┬─▶ it ends by itself, or by Ctrl-C: the end
     │           ▲  no: wait                       │
     │           └─ paused, another model, other rules, its own server is gone: stopped
     └─ removed, here or at any later moment: the end, exit 3
```

This is the main thread's state machine. The supervisor's thread sends the heartbeats of a node
without a worker, and stops a worker that must not go on.
"""

import logging
import os
import random
import socket
import time
from functools import partial

import stt
from stt import errors
from stt.domain.progress import Progress
from stt.domain.worker_id import WorkerId
from stt.node.credentials import CredentialsFile
from stt.node.handshake import perform_handshake, reconcile_name
from stt.node.instance_lock import InstanceLock
from stt.node.run_totals import RunTotals
from stt.node.socket import CoordinatorSocket
from stt.node.status import Activity, AgentStatus, fetch_fleet
from stt.node.supervisor import Supervisor
from stt.node.whisper_server import Description, WhisperServer, whisper_server
from stt.remote.client import CoordinatorClient
from stt.remote.membership import Membership
from stt.remote.messages import DesiredState, NodeSettings, ReportMessage, Rules
from stt.remote.queue import RemoteQueue
from stt.settings import Settings
from stt.system.single_flight import SingleFlight
from stt.system.waiting import waited_for
from stt.worker.context import WorkOptions
from stt.worker.stats import Stats
from stt.worker.worker import Worker

logger = logging.getLogger(__name__)

_CHECK_SECONDS = 0.2
_FLEET_SECONDS = 5.0
_MAX_CONNECT_WAIT_SECONDS = 10.0
_SERVER_WAIT_SECONDS = 15.0
_CONFIG_WAIT_SECONDS = 300.0
_LOG_SECONDS = 60.0
_START_WAIT_SECONDS = 1.0
_STOP_FIELDS = frozenset({
    "required_empty_checks", "empty_queue_wait_seconds", "idle_timeout_minutes",
    "server_unreachable_minutes", "max_consecutive_failures", "persistent",
})  # fmt: skip
"""The stop conditions: if one of them is set, all of them apply to the node."""


def is_persistent(settings: Settings) -> bool:
    """Return whether the node stays when the queue is empty, or a server or coordinator away."""
    return settings.persistent or not settings.model_fields_set & _STOP_FIELDS


class NodeAgent:
    """The node of this machine; ConfigError if it is not registered.

    `run()` it once, from the main thread if signals are to stop it.
    """

    def __init__(self, settings: Settings) -> None:
        self._file = CredentialsFile(settings.config_dir)
        self._credentials = credentials = self._file.load()
        self.lock = InstanceLock(self._file.folder)
        self._is_persistent = is_persistent(settings)
        self._settings = settings.model_copy(update={"persistent": self._is_persistent})
        # Not the process id, which is 1 in every run of a container.
        self._worker_id = WorkerId.of(credentials.node_id, int(time.time()))
        self.client = CoordinatorClient(credentials.server_url, credentials.api_key)
        self._membership = Membership(
            self.client,
            NodeSettings(  # until the coordinator has sent its own
                id=credentials.node_id,
                name=credentials.name,
                rules=Rules.model_validate(settings),
            ),
        )
        self._supervisor = Supervisor(self._membership, self._idle_report)
        self._socket = CoordinatorSocket(self._membership, lambda: self._activity)
        self.fleet = SingleFlight(partial(fetch_fleet, self.client), keep_seconds=_FLEET_SECONDS)
        self._totals = RunTotals(self._settings)
        self._newest_first = False
        self._activity = Activity("connecting")

    def run(self, *, newest_first: bool = False) -> int:
        """Work until there is a reason to stop; return the exit code.

        Raises the error that ended the run early.
        """
        self._newest_first = newest_first
        self._connect()
        reconcile_name(self._membership, self._credentials, self._file, self.lock)
        self._socket.start()
        self._supervisor.start()
        try:
            while (exit_code := self._run_server()) is None:
                pass
            return exit_code
        finally:
            self._activity = Activity("stopping")
            self._supervisor.stop()
            self._socket.stop()

    def status(self) -> AgentStatus:
        activity, settings = self._activity, self._membership.settings
        server = activity.server
        description = server.description() if server else Description()
        worker = activity.worker
        return AgentStatus(
            phase=activity.phase,
            detail=activity.detail,
            node_id=settings.id,
            name=settings.name,
            server_url=self.client.url,
            is_reached=self.client.is_reached,
            has_channel=self._socket.is_open,
            priority=settings.priority,
            model=description.model or self._model(settings.model),
            device=description.device,
            whisper_server=server.urls if server else ", ".join(self._settings.server_urls),
            has_own_server=not self._settings.server_urls,
            jobs=activity.jobs(),
            counts=self.stats().counts,
            in_flight=worker.in_flight if worker else 0,
        )

    def stats(self) -> Stats:
        """Return the stats of all workers of this run together."""
        worker = self._activity.worker
        return self._totals.stats(worker.stats if worker else None)

    def progress(self) -> Progress:
        """Return the progress of the present worker; without one, what is waited for."""
        activity = self._activity
        if activity.worker is not None:
            return activity.worker.progress()
        stats = self._totals.stats()
        detail = activity.detail or waited_for()
        why = f"{activity.phase}: {detail}" if detail else activity.phase
        return Progress(stats.finished, done_seconds=stats.seconds, waits_for=why)

    def _connect(self) -> None:
        """Perform the handshake; if persistent, retry until the coordinator answers."""
        report = self._idle_report()
        wait_seconds, log_at = 0.5, 0.0
        while True:
            try:
                perform_handshake(self._membership, report)
                return
            except errors.NodeRemoved as error:
                raise self.client.removal() from error
            except errors.DatabaseUnavailable as error:
                if not self._is_persistent:
                    raise
                self._activity = Activity("connecting", str(error))
                if time.monotonic() >= log_at:
                    logger.warning("Waits for the coordinator: %s", error)
                    log_at = time.monotonic() + _LOG_SECONDS
                time.sleep(wait_seconds * random.uniform(0.5, 1.0))
                wait_seconds = min(wait_seconds * 2, _MAX_CONNECT_WAIT_SECONDS)

    def _run_server(self) -> int | None:
        """Work with one whisper server; return the exit code, None to go on with another one."""
        desired = self._wait_until_enabled()
        model = self._model(desired.model)
        self._activity = Activity("starting")
        try:
            with whisper_server(self._settings, model) as server:
                while not server.is_gone:
                    desired = self._desired_state()
                    if not desired.is_enabled or self._model(desired.model) != model:
                        break
                    if (exit_code := self._run_worker(server, desired)) is not None:
                        return exit_code
        except errors.KeyRejected:
            raise
        except errors.ConfigError as error:
            if desired.model is None:  # the error is in this machine's own settings
                raise
            logger.error("Cannot work as the coordinator wants: %s", error)
            self._wait_for_change(desired, str(error), _CONFIG_WAIT_SECONDS)
        except errors.ServerUnavailable as error:
            if not self._is_persistent:
                raise
            logger.warning("%s; tries again in %g s", error, _SERVER_WAIT_SECONDS)
            self._wait_for_change(desired, str(error), _SERVER_WAIT_SECONDS)
        return None

    def _run_worker(self, server: WhisperServer, desired: DesiredState) -> int | None:
        """Run one worker until it stops; return the exit code, None if another has to go on."""
        remaining = self._totals.remaining()
        if remaining is None:
            return int(self._totals.stats().has_failures)
        settings = server.settings.model_copy(
            update={"max_minutes": remaining.minutes, **desired.rules.model_dump()}
        )
        options = WorkOptions(
            remaining.chunks,
            self._newest_first,
            watch=self._is_persistent,
            report_seconds=desired.rules.heartbeat_seconds,
        )
        queue = RemoteQueue(self._membership, self._worker_id, long_poll=True)
        worker = Worker(queue.queue(), settings, options, self._worker_id)
        with self._supervisor.supervising(worker, desired, server):
            self._activity = Activity("working", server=server, worker=worker)
            try:
                worker.run()
            except errors.DatabaseUnavailable as error:  # as the worker started
                if not self._is_persistent:
                    raise
                worker.stop(str(error))  # so that another one goes on
                time.sleep(_START_WAIT_SECONDS)
            except errors.SttError:
                self._membership.check()
                raise
            finally:
                self._activity = Activity("stopping", server=server)
                self._totals.add(worker.stats)
        self._membership.check()
        if worker.was_interrupted:
            return errors.EXIT_INTERRUPTED
        return None if worker.was_asked_to_stop else int(self._totals.stats().has_failures)

    def _wait_until_enabled(self) -> DesiredState:
        desired = self._desired_state()
        if not desired.is_enabled:
            self._activity = Activity("paused", "a person has paused it at the coordinator")
            logger.info("Paused by the coordinator: waits until it is let to work again")
            while not (desired := self._desired_state()).is_enabled:
                time.sleep(_CHECK_SECONDS)
            logger.info("The coordinator lets this node work again")
        return desired

    def _wait_for_change(self, desired: DesiredState, reason: str, seconds: float) -> None:
        """Wait until the coordinator desires another state, at most so long."""
        self._activity = Activity("waiting", reason)
        until = time.monotonic() + seconds
        while self._desired_state() == desired and time.monotonic() < until:
            time.sleep(_CHECK_SECONDS)

    def _desired_state(self) -> DesiredState:
        """Return what the coordinator wants. Raises NodeRemoved, KeyRejected."""
        self._membership.check()
        return self._membership.settings.desired_state

    def _model(self, desired: str | None) -> str | None:
        return desired or self._settings.model

    def _idle_report(self) -> ReportMessage:
        """Return the heartbeat of a node without a worker."""
        activity = self._activity
        return ReportMessage(
            worker_id=self._worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=stt.__version__,
            server=activity.server.urls if activity.server else "",
            state=activity.phase,
            slots=0,
            counts=self._totals.stats().counts,
        )
