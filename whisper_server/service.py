"""One model and everything around it that the routes need."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from whisper_server.engines.base import Engine
from whisper_server.errors import ApiError, ModelUnavailable, Unavailable
from whisper_server.jobs import Jobs
from whisper_server.metrics import Metrics
from whisper_server.model_names import DEMO_FOLDER, Model
from whisper_server.presets import EnginePlan
from whisper_server.scheduler import Scheduler
from whisper_server.settings import Settings

LOADING_RETRY_SECONDS = 2

logger = logging.getLogger(__name__)


@dataclass
class Service:
    """One model and what serves it.

    `failure` is set when the model could not be loaded: the process then ends.
    """

    settings: Settings
    model: Model
    plan: EnginePlan
    engines: Sequence[Engine]
    scheduler: Scheduler
    metrics: Metrics
    ready: bool = False
    failure: ModelUnavailable | None = field(default=None)
    jobs: Jobs = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        self.jobs = Jobs(settings.job_keep_seconds, settings.job_keep_count, self._count_error)

    def _count_error(self, error: ApiError) -> None:
        self.metrics.error(error.code or error.type)

    @property
    def engine(self) -> Engine:
        """Any of them: they differ in their device alone."""
        return self.engines[0]

    def load_in_background(self, on_failure: Callable[[], None]) -> None:
        """Load in a daemon thread: a download in progress must not keep the process alive."""
        threading.Thread(
            target=self._load, args=(on_failure,), name="load-model", daemon=True
        ).start()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place in the queue; raise Unavailable while the model loads or it is full."""
        self.require_ready()
        with self.scheduler.place():
            yield

    def require_ready(self) -> None:
        """Raise Unavailable while the model loads."""
        if not self.ready:
            raise Unavailable(
                f"The model '{self.model.name}' is still loading.",
                LOADING_RETRY_SECONDS,
                code="model_loading",
            )

    def _load(self, on_failure: Callable[[], None]) -> None:
        started = time.monotonic()
        try:
            for engine in self.engines:
                engine.load()
            self.scheduler.start()
        except Exception as error:
            if not isinstance(error, ModelUnavailable):
                logger.exception("Loading the model failed in an unforeseen way")
                error = ModelUnavailable(f"Model '{self.model.name}' cannot be loaded: {error}")
            self.failure = error
            on_failure()
            return
        self.ready = True
        seconds = time.monotonic() - started
        logger.info("Model %s is loaded after %.1f s", self.model.name, seconds)
        if self.model.is_demo:
            logger.warning(
                "The model 'demo' is a test model with a small vocabulary (its words: %s). "
                "For real speech pick a real one, for example --model base",
                DEMO_FOLDER / "words.txt",
            )
