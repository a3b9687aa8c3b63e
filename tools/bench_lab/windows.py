"""Recordings as spectrograms of speech, ready to be decoded."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.bench_lab.callers import Clip
from tools.bench_lab.contestants import ModelAt
from whisper_server.audio_windows import cut_into_windows
from whisper_server.engines.base import Engine, Features
from whisper_server.engines.faster_whisper import FasterWhisperEngine
from whisper_server.engines.silero import find_speech
from whisper_server.hardware import usable_cores
from whisper_server.model_names import Model
from whisper_server.presets import EnginePlan, Shape
from whisper_server.recording import Recording

DAY_SECONDS = 86_400


def windows_by_path(model: ModelAt, clips: Sequence[Clip]) -> dict[Path, list[Features]]:
    """The windows that our server makes of each of them.

    The server's own engine makes them: a ceiling whose windows were padded otherwise would be the
    ceiling of something else.
    """
    shape = Shape(streams=1, threads=1, batch_size=1, reason="to make spectrograms")
    name = model.folder.name
    plan = EnginePlan(
        name, "faster-whisper", model.device, model.compute_type, shape, (0,), worker_count=1
    )
    engine = FasterWhisperEngine(Model(name, model.folder), plan)
    engine.load()
    engine.unload()  # it can still make spectrograms
    paths = list(dict.fromkeys(clip.path for clip in clips))
    with ThreadPoolExecutor(usable_cores()) as pool:
        made = pool.map(lambda path: list(_windows(engine, path)), paths)
        return dict(zip(paths, made, strict=True))


def _windows(engine: Engine, path: Path) -> Iterator[Features]:
    with path.open("rb") as file:
        blocks = Recording([file], DAY_SECONDS, "file").blocks()
        for windows in cut_into_windows(blocks, engine.window_seconds, find_speech):
            for window in windows:
                yield engine.features(window.samples)
