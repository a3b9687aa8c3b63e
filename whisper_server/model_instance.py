"""One copy of the model: it loads on demand, decodes batches, and unloads when idle."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from whisper_server.engines.base import (
    EncodedWindow,
    Engine,
    ShouldStop,
    Transcription,
    WindowInput,
    WindowResult,
)
from whisper_server.errors import OutOfMemory
from whisper_server.scheduler_state import InstanceState, InstanceStatus

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class ModelInstance:
    """A copy that several threads decode with; `batch_size` shrinks if memory runs out."""

    def __init__(self, number: int, engine: Engine, device: str, batch_size: int) -> None:
        self.id = number
        self.engine = engine
        self.batch_size = batch_size
        self._lock = threading.Lock()
        self._loaded = False
        self._loading = True
        self._users = 0
        self._idle_since = time.monotonic()
        self._counts = InstanceState(number, device, "loading", batch_size, 0, 0, 0.0, 0.0)

    def begin(self) -> None:
        """Record that the engine is loaded."""
        self._loaded, self._loading = True, False
        self._idle_since = time.monotonic()

    def encode(self, windows: Sequence[WindowInput]) -> list[EncodedWindow]:
        """Encode as the engine does; raise OutOfMemory after halving the batch size for good."""
        return self._in_memory(self.engine.encode, windows, counted=())

    def decode(self, windows: Sequence[WindowInput]) -> list[WindowResult]:
        """Decode as the engine does; raise OutOfMemory after halving the batch size for good."""
        return self._in_memory(self.engine.decode, windows, counted=windows)

    def _in_memory(
        self,
        call: Callable[[Sequence[WindowInput]], list[Result]],
        windows: Sequence[WindowInput],
        counted: Sequence[WindowInput],
    ) -> list[Result]:
        try:
            return self._run(partial(call, windows), counted)
        except OutOfMemory:
            with self._lock:
                smaller = max(1, len(windows) // 2)
                if smaller < self.batch_size:
                    self.batch_size = smaller
                    logger.warning(
                        "Instance %d: out of memory with %d window(s) at once, goes on with %d "
                        "(set BATCH_SIZE to begin with that)",
                        self.id,
                        len(windows),
                        smaller,
                    )
            raise

    def transcribe(self, piece: WindowInput, should_stop: ShouldStop) -> Transcription:
        """Transcribe a piece in Whisper's sequential form; `piece.features` are its samples."""
        call = partial(self.engine.transcribe, piece.features, piece.options, should_stop)
        return self._run(call, [piece])

    def unload_if_idle(self, idle_seconds: float) -> None:
        """Free the weights if nothing was decoded for `idle_seconds`."""
        with self._lock:
            idle = time.monotonic() - self._idle_since
            if self._loaded and not self._users and idle >= idle_seconds:
                self.engine.unload()
                self._loaded = False
                logger.info("Instance %d: model unloaded after %.0f s without work", self.id, idle)

    def state(self) -> InstanceState:
        counts = self._counts
        return replace(
            counts,
            status=self._status(),
            batch_size=self.batch_size,
            audio_seconds=round(counts.audio_seconds, 3),
            busy_seconds=round(counts.busy_seconds, 3),
        )

    def _run(self, call: Callable[[], Result], windows: Sequence[WindowInput]) -> Result:
        """Run `call` on the loaded model; count its time, and the windows that it decodes."""
        with self._lock:  # others wait here while it loads
            if not self._loaded:
                self._load()
            self._users += 1
        started = time.monotonic()
        try:
            result = call()
        finally:
            with self._lock:
                self._users -= 1
                self._idle_since = time.monotonic()
        with self._lock:
            self._counts.batches += bool(windows)
            self._counts.windows += len(windows)
            self._counts.audio_seconds += sum(window.seconds for window in windows)
            self._counts.busy_seconds += self._idle_since - started
        return result

    def _status(self) -> InstanceStatus:
        if self._loading:
            return "loading"
        if not self._loaded:
            return "unloaded"
        return "busy" if self._users else "idle"

    def _load(self) -> None:
        started = time.monotonic()
        self._loading = True
        try:
            self.engine.load()
        finally:
            self._loading = False
        self._loaded = True
        logger.info("Instance %d: model loaded in %.1f s", self.id, time.monotonic() - started)
