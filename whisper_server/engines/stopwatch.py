"""Time how fast a shape decodes: windows of equal cost, side by side, through CTranslate2 alone.

The text of noise may end at once, or never, depending on the model. So the end of the text
is forbidden, and every window costs `STEPS` steps of beam search, about as many as thirty seconds
of lively speech.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ctranslate2
import numpy as np

from whisper_server.engines.base import Options
from whisper_server.engines.failures import engine_failure
from whisper_server.engines.faster_whisper import load_whisper
from whisper_server.errors import ModelUnavailable
from whisper_server.presets import EnginePlan

STEPS = 100

_PROMPT = ("<|startoftranscript|>", "<|en|>", "<|transcribe|>")


class Stopwatch:
    """A model loaded in the shape of a plan."""

    def __init__(self, folder: Path, plan: EnginePlan) -> None:
        """Load the model; raises ModelUnavailable if it cannot be loaded or is no Whisper."""
        try:
            whisper = load_whisper(folder, plan, plan.device_indices[0])
            shape = (1, whisper.model.n_mels, whisper.feature_extractor.nb_max_frames)
        except Exception as error:  # RuntimeError, ValueError, OSError, and bare ones out of Rust
            raise ModelUnavailable(f"The model in {folder} cannot be timed: {error}") from error
        self._model = whisper.model
        self._noise = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        self._streams = plan.shape.streams
        self._end_of_text = whisper.hf_tokenizer.token_to_id("<|endoftext|>")
        self._prompt = list(_PROMPT if self._model.is_multilingual else _PROMPT[:1])

    def windows_per_second(self, batch_size: int, seconds: float, steps: int = STEPS) -> float:
        """Let each stream decode batches for `seconds`, at least one; return the windows a second.

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
        features = np.repeat(self._noise, batch_size, axis=0)
        encoded = self._model.encode(ctranslate2.StorageView.from_array(features))
        self._model.generate(
            encoded,
            [self._prompt] * batch_size,
            beam_size=Options().beam_size,
            max_length=2 * steps,  # half of it is for a prompt
            suppress_blank=False,
            suppress_tokens=[-1, self._end_of_text],
        )
