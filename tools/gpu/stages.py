"""How long each stage of a transcription takes by itself, for a second of audio.

    python -m tools.gpu.stages FILE       FILE: JSON, see tools/gpu/sections.py

Of each size of batch the encoder, the decoder and the alignment; spectrograms by torch on the card;
decoding audio, voice detection and spectrograms in one thread and in many.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import numpy.typing as npt

from stt.media.audio import decode
from whisper_server.engines.base import FRAMES_PER_SECOND, SAMPLE_RATE, Samples
from whisper_server.engines.faster_whisper import load_whisper
from whisper_server.engines.segments import padded
from whisper_server.engines.silero import find_speech
from whisper_server.hardware import usable_cores
from whisper_server.presets import EnginePlan, Shape

ROUNDS = 3
THREADS = (1, 8, 16)
BEAM_SIZE = 5
HOP, FFT = 160, 400


class Stages:
    """`tell` is given each row."""

    def __init__(self, task: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> None:
        self._device, self._tell = task["device"], tell
        self._files = [Path(path).read_bytes() for path in task["clips"]]
        self._samples = [decode(file).astype(np.float32) / 32_768 for file in self._files]
        self._audio_seconds = sum(map(len, self._samples)) / SAMPLE_RATE
        shape = Shape(streams=1, threads=4, batch_size=1, reason="")
        plan = EnginePlan(
            "", "faster-whisper", task["device"], task["compute_type"], shape, (0,), worker_count=1
        )
        self._whisper = load_whisper(Path(task["folder"]), plan, 0)
        self._batches: list[int] = task["batches"]
        self._synchronize: Callable[[], None] = lambda: None
        if self._device == "cuda":
            import torch

            self._synchronize = torch.cuda.synchronize

    def run(self) -> None:
        for size in self._batches:
            self.model(size)
        if self._device == "cuda":
            self._torch_spectrograms()
        extractor = self._whisper.feature_extractor
        for threads in [count for count in THREADS if count <= 2 * usable_cores()]:
            self._in_threads("decode audio", decode, self._files, threads)
            self._in_threads(
                "voice activity", lambda one: find_speech(one, 30.0), self._samples, threads
            )
            self._in_threads("spectrograms", extractor, self._samples, threads)

    def model(self, size: int) -> None:
        """Of one batch, each part after the other."""
        chosen = [self._samples[index % len(self._samples)] for index in range(size)]
        seconds = sum(map(len, chosen)) / SAMPLE_RATE
        extractor, model = self._whisper.feature_extractor, self._whisper.model
        made = [padded(extractor(one), extractor.nb_max_frames) for one in self._samples[:size]]
        ready = np.stack([made[index % len(made)] for index in range(size)])
        ids = self._whisper.hf_tokenizer.token_to_id
        names = ("startoftranscript", "en", "transcribe", "notimestamps")
        prompt = [ids(f"<|{name}|>") for name in names]
        view = ctranslate2.StorageView.from_array(ready)
        encoded = self._timed("encoder", size, seconds, lambda: model.encode(view))
        found = self._timed(
            "decoder", size, seconds,
            lambda: model.generate(encoded, [prompt] * size, beam_size=BEAM_SIZE),
        )  # fmt: skip
        first_mark = ids("<|endoftext|>")
        texts = [[t for t in one.sequences_ids[0] if t < first_mark] for one in found]
        frames = [len(one) * FRAMES_PER_SECOND // SAMPLE_RATE for one in chosen]
        self._timed(
            "alignment", size, seconds,
            lambda: model.align(encoded, prompt[:3], texts, frames, median_filter_width=7),
        )  # fmt: skip

    def _timed(self, name: str, size: int, seconds: float, call: Callable[[], Any]) -> Any:
        call()
        self._synchronize()
        began = time.perf_counter()
        for _ in range(ROUNDS):
            found = call()
            self._synchronize()
        self._row(name, f"batches of {size}", (time.perf_counter() - began) / ROUNDS, seconds)
        return found

    def _in_threads(
        self, name: str, call: Callable[[Any], Any], inputs: Sequence[Any], threads: int
    ) -> None:
        call(inputs[0])
        with ThreadPoolExecutor(threads) as pool:
            began = time.perf_counter()
            for _ in pool.map(call, [*inputs] * threads):
                pass
            took = time.perf_counter() - began
        self._row(name, f"{threads} thread(s)", took / threads, self._audio_seconds)

    def _torch_spectrograms(self) -> None:
        import torch

        extractor = self._whisper.feature_extractor
        filters = torch.tensor(extractor.mel_filters, device="cuda")
        window = torch.hann_window(FFT, device="cuda")

        def on_card(samples: Samples) -> npt.NDArray[np.float32]:
            sound = torch.from_numpy(samples).to("cuda")
            power = torch.stft(sound, FFT, HOP, window=window, return_complex=True).abs() ** 2
            log = torch.clamp(filters @ power[..., :-1], min=1e-10).log10()
            log = (torch.maximum(log, log.max() - 8) + 4) / 4
            found: npt.NDArray[np.float32] = log.cpu().numpy()
            return found

        for threads in THREADS[:2]:
            self._in_threads("spectrograms on the card", on_card, self._samples, threads)

    def _row(self, name: str, shape: str, took: float, audio_seconds: float) -> None:
        self._tell({"what": name, "shape": shape, "speed": audio_seconds / took})


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    task = json.loads(Path(arguments[0]).read_text())
    Stages(task, lambda row: print(json.dumps(row), flush=True)).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
