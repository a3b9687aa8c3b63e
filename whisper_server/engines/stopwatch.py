"""Time how fast a shape decodes: windows of equal cost, side by side, through CTranslate2 alone.

The text of noise may end at once, or never, depending on the model. So the end of the text
is forbidden, and every window costs `STEPS` steps of beam search, about as many as thirty seconds
of lively speech.
"""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

from whisper_server.engines.base import FRAMES_PER_SECOND, Features, Options
from whisper_server.engines.failures import engine_failure
from whisper_server.errors import ModelUnavailable

STEPS = 100

_END_OF_TEXT = "<|endoftext|>"
_PROMPT = ("<|startoftranscript|>", "<|en|>", "<|transcribe|>")


def ctranslate2_version() -> str:
    """Return the version, which what was measured holds for."""
    return str(ctranslate2.__version__)


class Stopwatch:
    """A model loaded for `streams` batches side by side, with `threads` each."""

    def __init__(
        self, folder: Path, device: str, index: int, compute_type: str, streams: int, threads: int
    ) -> None:
        """Raise ModelUnavailable when it cannot be loaded so, or is no Whisper."""
        self._streams = streams
        try:
            self._model = ctranslate2.models.Whisper(
                str(folder),
                device=device,
                device_index=index,
                compute_type=compute_type,
                inter_threads=streams,
                intra_threads=threads,
            )
            self._end_of_text = _vocabulary(folder).index(_END_OF_TEXT)
            self._window = _noise(self._model.n_mels, _window_seconds(folder) * FRAMES_PER_SECOND)
        except (RuntimeError, ValueError, OSError) as error:
            raise ModelUnavailable(f"The model in {folder} cannot be timed: {error}") from error
        self._prompt = list(_PROMPT if self._model.is_multilingual else _PROMPT[:1])

    def windows_per_second(self, batch_size: int, seconds: float, steps: int = STEPS) -> float:
        """Have all streams decode batch after batch for so long, each at least one.

        Raises OutOfMemory when the device has no room for it, else EngineFailed.
        """
        self._decode(1, steps=2)  # the first call of a shape allocates
        interrupted = threading.Event()
        begun = time.perf_counter()

        def decode_batches(_: int) -> int:
            done = 0
            while not done or not (interrupted.is_set() or time.perf_counter() > begun + seconds):
                self._decode(batch_size, steps)
                done += batch_size
            return done

        pool = ThreadPoolExecutor(self._streams)
        try:
            done = sum(pool.map(decode_batches, range(self._streams)))
        except RuntimeError as error:
            raise engine_failure(error, "CTranslate2") from error
        finally:
            interrupted.set()
            pool.shutdown(wait=False)
        return done / (time.perf_counter() - begun)

    def close(self) -> None:
        """Free the model's memory."""
        self._model.unload_model()

    def _decode(self, batch_size: int, steps: int) -> None:
        features = np.repeat(self._window, batch_size, axis=0)
        encoded = self._model.encode(ctranslate2.StorageView.from_array(features))
        self._model.generate(
            encoded,
            [self._prompt] * batch_size,
            beam_size=Options().beam_size,
            max_length=2 * steps,  # half of it is for a prompt
            suppress_blank=False,
            suppress_tokens=[-1, self._end_of_text],
        )


def _vocabulary(folder: Path) -> list[str]:
    """Return the tokens by their ids, from either of the forms that CTranslate2 knows."""
    listed = folder / "vocabulary.json"
    if listed.is_file():
        tokens: list[str] = json.loads(listed.read_text())
        return tokens
    return (folder / "vocabulary.txt").read_text().splitlines()


def _window_seconds(folder: Path) -> int:
    """Return Whisper's thirty, unless the model's configuration says otherwise."""
    file = folder / "preprocessor_config.json"
    config: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    return int(config.get("chunk_length", 30))


def _noise(mels: int, frames: int) -> Features:
    values = np.random.default_rng(0).standard_normal((1, mels, frames))
    return values.astype(np.float32)
