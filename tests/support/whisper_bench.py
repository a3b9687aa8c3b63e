"""A scheduler at work over a stand-in engine, without a server around it."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from tests.support.whisper_stand_in import StandInEngine, everything, stand_in_plan, wav
from whisper_server.audio_windows import FindSpeech
from whisper_server.engines.base import Options, Transcription
from whisper_server.metrics import Metrics
from whisper_server.pipeline import Pipeline
from whisper_server.recording import Recording
from whisper_server.scheduler import Finish, Scheduler
from whisper_server.scheduler_state import Progress
from whisper_server.settings import Settings

ENGLISH = Options(language="en")


SHORT = 1.0


async def never() -> None:
    """A client that stays."""
    await asyncio.Event().wait()


async def soon(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


@dataclass
class Bench:
    pipeline: Pipeline
    scheduler: Scheduler
    engine: StandInEngine

    async def run(
        self,
        seconds: float = SHORT,
        options: Options = ENGLISH,
        gone: Coroutine[Any, Any, None] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        data: bytes | None = None,
        finish: Finish | None = None,
    ) -> Transcription:
        recording = Recording([io.BytesIO(wav(seconds) if data is None else data)], 36_000, "file")
        try:
            with self.scheduler.place():
                return await self.scheduler.run(
                    recording, options, gone or never(), on_progress, finish
                )
        finally:
            recording.close()

    def start(self, *lengths: float) -> list[asyncio.Task[Transcription]]:
        return [asyncio.create_task(self.run(seconds)) for seconds in lengths]


@contextlib.asynccontextmanager
async def bench(
    engine: StandInEngine | None = None,
    *,
    busy: bool = False,
    batch_size: int = 1,
    streams: int = 1,
    find_speech: FindSpeech = everything,
    **settings: Any,
) -> AsyncIterator[Bench]:
    """A scheduler at work; a `busy` one hangs in its first batch until `engine.go` is set.

    `find_speech` stands for voice detection, which finds speech everywhere unless it is given.
    """
    engine = engine or StandInEngine()
    if not busy:
        engine.go.set()
    plan = stand_in_plan(settings.pop("worker_count", 4), batch_size, streams)
    chosen = Settings.model_construct(**({"max_queue": 8, "batch_window_ms": 0} | settings))
    metrics = Metrics()
    pipeline = Pipeline([engine], plan, chosen, metrics, find_speech)
    scheduler = Scheduler(pipeline, plan, chosen, metrics)
    pipeline.start()
    try:
        yield Bench(pipeline, scheduler, engine)
    finally:
        engine.go.set()
        await scheduler.close(grace_seconds=0)


async def waits(event: asyncio.Event) -> None:
    await event.wait()
