"""Transcribe the first chunks while the rest of the recordings is still being cut."""

import threading
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING

from bson import ObjectId

from stt.cli.console import live_progress, print_note, stop
from stt.domain.chunk import ASSUMED_SECONDS, Recording
from stt.local.whisper_server import WhisperServers
from stt.settings import Settings
from stt.store.database import Database
from stt.system.log_context import with_log_fields
from stt.system.signals import on_signals

if TYPE_CHECKING:
    from stt.worker.worker import Worker

INTERRUPTED = "Interrupted: the same command continues, and writes the transcripts."

_STOP_SECONDS = 5.0


class EarlyWork(AbstractContextManager["EarlyWork"]):
    """A worker in a thread, from the first new chunk on; the main thread reads and takes signals.

    `may_begin` False: it does not begin, for no file may be transcribed before all of it is read.
    """

    def __init__(
        self, database: Database, servers: WhisperServers, settings: Settings, *, may_begin: bool
    ) -> None:
        from stt.worker.arrivals import Arrivals

        self._database = database
        self._servers = servers
        self._wanted = settings
        self._may_begin = may_begin
        self._arrivals = Arrivals()
        self._next: Recording | None = None
        self._worker: Worker | None = None
        self._error: BaseException | None = None
        self._is_over = False
        self._thread: threading.Thread | None = None

    def begun(self, recording: Recording, is_new: bool) -> None:
        """Note which recording is being cut.

        One that was there before may have to be made otherwise. Without a model that is given, it
        must be known that the recordings do not all want the same one.
        """
        has_model = self._wanted.model or self._wanted.server_urls or recording.model is None
        self._next = recording if is_new and has_model and self._may_begin else None

    def cut(self, done_seconds: float, expected_seconds: float) -> None:
        """Note how much of it is in the queue, and about how long all files are together.

        Raise the error that has ended the worker, if one did.
        """
        if self._error is not None:
            raise self._error
        self._arrivals.expected_chunks = int(expected_seconds / ASSUMED_SECONDS)
        if self._next is not None and done_seconds > 0:
            self._arrivals.add(self._next.id)
            self._next = None
            if self._thread is None:
                run = with_log_fields(self._run)
                self._thread = threading.Thread(target=run, name="early work", daemon=True)
                self._thread.start()

    def finish(self, recordings: tuple[ObjectId, ...]) -> set[ObjectId]:
        """Transcribe these too, and wait until nothing is pending.

        Return the recordings that were worked on. Raise the error that ended the worker.
        """
        if self._thread is None:
            return set()
        self._arrivals.add(*recordings)
        self._arrivals.end()
        with on_signals(lambda *_: self._signal()):
            self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._worker is not None
        return {id_ for id_ in self._worker.stats.recordings if id_ is not None}

    @property
    def was_interrupted(self) -> bool:
        return self._worker is not None and self._worker.was_interrupted

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._is_over = True
        self._arrivals.end()
        if self._thread is None or not self._thread.is_alive():
            return
        worker = self._worker
        if worker is None:  # it waits for a server
            self._servers.end(is_well=False)
            self._thread.join(_STOP_SECONDS)
            return
        if isinstance(error, KeyboardInterrupt):
            worker.drain()
        else:
            worker.stop(str(error), at_once=True)
        with on_signals(lambda *_: worker.drain()):
            self._thread.join()
        if isinstance(error, KeyboardInterrupt):
            print_note(INTERRUPTED)

    def _signal(self) -> None:
        if self._worker is None:
            stop()
        self._worker.drain()

    def _run(self) -> None:
        from stt.worker.context import WorkOptions
        from stt.worker.worker import Worker

        try:
            settings = self._servers.ready(self._wanted.model)
            options = WorkOptions(arrivals=self._arrivals)
            self._worker = Worker.at_database(self._database, settings, options)
            if not self._is_over:
                with live_progress(self._worker.progress):
                    self._worker.run()
        except BaseException as error:
            self._error = error
