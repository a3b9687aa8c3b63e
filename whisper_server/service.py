"""One model and everything around it that the routes need."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from whisper_server.catalogue import DEMO_FOLDER, Model
from whisper_server.engines.base import Engine
from whisper_server.errors import ModelUnavailable, Unavailable
from whisper_server.presets import EnginePlan
from whisper_server.scheduler import Scheduler
from whisper_server.settings import Settings

LOADING_RETRY_SECONDS = 2

logger = logging.getLogger(__name__)


@dataclass
class Service:
    """`failure` is set when the model could not be loaded: the process then ends."""

    settings: Settings
    model: Model
    plan: EnginePlan
    engine: Engine
    scheduler: Scheduler
    ready: bool = False
    failure: ModelUnavailable | None = field(default=None)

    def load_in_background(self, on_failure: Callable[[], None]) -> None:
        """A daemon thread, so that a download in progress never keeps the process alive."""
        threading.Thread(
            target=self._load, args=(on_failure,), name="load-model", daemon=True
        ).start()

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the line; raises `Unavailable` while the model loads or the line is full."""
        self.require_ready()
        with self.scheduler.place():
            yield

    def require_ready(self) -> None:
        """Raises `Unavailable` while the model loads."""
        if not self.ready:
            raise Unavailable(
                f"The model '{self.model.name}' is still loading.",
                LOADING_RETRY_SECONDS,
                code="model_loading",
            )

    def _load(self, on_failure: Callable[[], None]) -> None:
        started = time.monotonic()
        try:
            self.engine.load()
        except ModelUnavailable as error:
            self.failure = error
            on_failure()
            return
        except Exception as error:
            logger.exception("Loading the model failed in an unforeseen way")
            self.failure = ModelUnavailable(f"Model '{self.model.name}' cannot be loaded: {error}")
            on_failure()
            return
        self.ready = True
        self._say_what_is_loaded(time.monotonic() - started)

    def _say_what_is_loaded(self, seconds: float) -> None:
        logger.info(
            "Model %s is loaded: device %s, compute type %s, %d transcription(s) at once with "
            "%d thread(s) each, after %.1f s",
            self.model.name,
            self.plan.device,
            self.plan.compute_type,
            self.plan.worker_count,
            self.plan.threads_per_worker,
            seconds,
        )
        if self.model.is_demo:
            logger.warning(
                "The model 'demo' is a test model with a small vocabulary (its words: %s). "
                "For real speech pick a real one, for example --model base",
                DEMO_FOLDER / "words.txt",
            )
