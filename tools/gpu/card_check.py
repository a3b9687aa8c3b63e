"""Say whether all that is measured can be imported, and whether the card computes what a CPU does.

    python -m tools.gpu.card_check cuda FOLDER       FOLDER: a model that was written for the run

Windows of 10 and 30 seconds are decoded with a beam of 5 on the CPU and on the card: texts are as
long as the sound, so another length tells wrong arithmetic. The first seconds on a card include the
driver's translation of CTranslate2's code, which its wheel has up to compute capability 8.6 only.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

from stt.media.audio import SAMPLE_RATE, decode
from tools.bench_lab.ceiling import Decoder
from tools.bench_lab.clips import SAMPLES
from tools.bench_lab.contestants import WARM_UP_CLIP, ModelAt
from tools.gpu.stages import Stages
from whisper_server.engines.base import Features
from whisper_server.engines.segments import padded
from whisper_server.hardware import usable_cores

SECONDS = (10, 30)
COMPUTE_TYPES = {"cpu": ("int8",), "cuda": ("float16", "int8_float16")}
MAX_DIFFERENCE = 15
"""Words of a segment, the least by which two texts can differ."""
LARGE_BATCH, ROWS = 97, (0, 63, 94, 95, 96)


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    import torch
    import transformers

    import tools.gpu.sections  # noqa: F401
    import whisper_server.server  # noqa: F401

    device, folder = arguments[0], Path(arguments[1])
    print(f"Python {sys.version.split()[0]}, ctranslate2 {ctranslate2.__version__}")
    print(f"torch {torch.__version__}, transformers {transformers.__version__}")
    if device == "cuda":
        types = sorted(ctranslate2.get_supported_compute_types("cuda"))
        print(f"CTranslate2 sees {ctranslate2.get_cuda_device_count()} card(s): {types}")
        print(f"torch sees {torch.cuda.device_count()}: {torch.cuda.get_device_name(0)}")
    windows = _windows()
    right = _words(ModelAt(folder, "cpu", "float32"), windows)
    found = {one: _words(ModelAt(folder, device, one), windows) for one in COMPUTE_TYPES[device]}
    for model in (ModelAt(folder, device, one) for one in COMPUTE_TYPES[device]):
        _tried(_align, model)
    if device == "cuda":
        _tried(_compare_rows, ModelAt(folder, device, "float16"), windows[-1])
    first, *others = found.values()
    is_right = all(right) and all(
        abs(one - other) <= MAX_DIFFERENCE
        for compared in (first, *filter(any, others))  # a type that the card lacks has no texts
        for one, other in zip(compared, right, strict=True)
    )
    print("texts as long as on the CPU" if is_right else "TEXTS OF ANOTHER LENGTH than on the CPU")
    return 0 if is_right else 1


def _windows() -> list[Features]:
    from faster_whisper.feature_extractor import FeatureExtractor

    speech = decode((SAMPLES / "voice-diary.mp3").read_bytes()).astype(np.float32) / 32_768
    extractor = FeatureExtractor(feature_size=128)
    return [
        padded(extractor(speech[: seconds * SAMPLE_RATE]), extractor.nb_max_frames)
        for seconds in SECONDS
    ]


def _words(model: ModelAt, windows: Sequence[Features]) -> list[int]:
    """Return how many words each window has; none where the model cannot be loaded."""
    began = time.perf_counter()
    try:
        decoder = Decoder(model, 1, usable_cores())
        done = [decoder.decode([window], 1) for window in windows]
    except (RuntimeError, ValueError) as error:
        print(f"{model.device} {model.compute_type}: {error}")
        return [0] * len(windows)
    told = ", ".join(
        f"{seconds} s: {words} words in {took:.2f} s"
        for seconds, (_, words, took) in zip(SECONDS, done, strict=True)
    )
    print(
        f"{model.device} {model.compute_type}: {told}; {time.perf_counter() - began:.1f} s in all"
    )
    return [words for _, words, _ in done]


def _align(model: ModelAt) -> None:
    task = {
        "folder": str(model.folder),
        "device": model.device,
        "compute_type": model.compute_type,
        "clips": [str(WARM_UP_CLIP.path)],
        "batches": [],
    }
    Stages(task, lambda row: print(f"{model.compute_type}: {row}")).model(1)


def _compare_rows(model: ModelAt, window: Features) -> None:
    """Print how much the encoder makes another of a window that is the last of a large batch."""
    import torch

    whisper: Any = ctranslate2.models.Whisper(
        str(model.folder), device=model.device, compute_type=model.compute_type
    )
    view = ctranslate2.StorageView.from_array
    alone = torch.as_tensor(whisper.encode(view(window[None])), device="cuda")[0].float()
    many = torch.as_tensor(
        whisper.encode(view(np.repeat(window[None], LARGE_BATCH, axis=0))), device="cuda"
    )
    for row in ROWS:
        difference = (many[row].float() - alone).abs().max() / alone.abs().max()
        print(f"encoder, row {row} of {LARGE_BATCH}: {difference:.2e} from the same window alone")


def _tried(check: Any, *arguments: Any) -> None:
    """Print what a check says, or why it cannot be done."""
    try:
        check(*arguments)
    except Exception as error:
        print(f"{check.__name__}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
