"""Transcribe what is in the queue on this machine, while a folder is watched."""

import logging
import threading
import time
from contextlib import AbstractContextManager

from stt.domain.claim import ClaimRules
from stt.domain.worker_id import WorkerId
from stt.errors import ConfigError, DatabaseUnavailable, SttError
from stt.local.whisper_server import whisper_servers
from stt.settings import Settings
from stt.store.claim_queries import has_pending
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.system.log_context import with_log_fields
from stt.system.process_identity import ProcessIdentity
from stt.worker.context import WorkOptions
from stt.worker.worker import Worker

_CHECK_SECONDS = 2.0
_RETRY_SECONDS = 30.0
_STOP_SECONDS = 5.0
_IDLE_SECONDS = 60.0

logger = logging.getLogger(__name__)


class LocalWorker(AbstractContextManager["LocalWorker"]):
    """A thread that works whenever there are chunks; use it in `with`.

    It starts a whisper server if none is set, which ends when there was nothing to do for a minute.
    """

    def __init__(self, database: Database, settings: Settings, *, speakers: bool = False) -> None:
        """`speakers`: the server that it starts is to find them."""
        self._database = database
        self._speakers = speakers
        # A worker that a person starts may end; here the next one would begin at once.
        self._settings = settings.model_copy(update={"max_minutes": None, "persistent": False})
        self._claims = MongoClaims(
            database, WorkerId.of_this_process(), ClaimRules.of(settings),
            ProcessIdentity.of_this_process(),
        )  # fmt: skip
        self._stop = threading.Event()
        self._worker: Worker | None = None
        self._error: BaseException | None = None
        self._last_done: object = None
        self._busy_at = 0.0
        run = with_log_fields(self._run)
        self._thread = threading.Thread(target=run, name="local worker", daemon=True)

    def __enter__(self) -> "LocalWorker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Finish what is in flight, and end."""
        self._stop.set()
        if (worker := self._worker) is not None:
            if not worker.was_asked_to_stop:
                worker.stop("the watch ends")
            self._thread.join()
        else:  # a server that starts ends with this process
            self._thread.join(_STOP_SECONDS)

    def hurry(self) -> None:
        """Release what is in flight, so that `__exit__` returns. Signal handlers may call it."""
        self._stop.set()
        if (worker := self._worker) is not None:
            worker.stop("interrupted", at_once=True)

    def check(self) -> None:
        """Let a worker end that is idle; raise the error that ended the thread, if one did."""
        if self._error is not None:
            raise self._error
        worker = self._worker
        done = None if worker is None else (worker, worker.stats.done, worker.stats.errors)
        if done != self._last_done or worker is None or worker.in_flight:
            self._last_done, self._busy_at = done, time.monotonic()
        elif time.monotonic() - self._busy_at > _IDLE_SECONDS:
            worker.stop(f"nothing to do for {_IDLE_SECONDS:g} s")

    def _run(self) -> None:
        wait_seconds = 0.0
        while not self._stop.wait(wait_seconds):
            wait_seconds = _CHECK_SECONDS
            try:
                if self._has_work() and not self._work():
                    wait_seconds = _RETRY_SECONDS
            except (ConfigError, DatabaseUnavailable) as error:
                self._error = error
                return
            except SttError as error:
                if not error.is_logged:
                    logger.warning("%s", error)
                wait_seconds = _RETRY_SECONDS
            except BaseException as error:  # a fault: a watch that transcribes nothing hides it
                self._error = error
                return

    def _has_work(self) -> bool:
        """Return whether chunks are pending; free claims that were left behind if none is."""
        return has_pending(self._database) or (
            bool(self._claims.recover_orphaned() or self._claims.recover())
            and has_pending(self._database)
        )

    def _work(self) -> bool:
        """Work until the queue is empty; return whether there was something to do."""
        with whisper_servers(self._settings, speakers=self._speakers) as settings:
            options = WorkOptions(watch=True)
            worker = self._worker = Worker.at_database(self._database, settings, options)
            try:
                stats = None if self._stop.is_set() else worker.run()
            finally:
                self._worker = None
        return stats is not None and bool(stats.done or stats.errors)
