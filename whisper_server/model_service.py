"""One model and everything around it that the routes need."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from whisper_server.audio_windows import FindSpeech
from whisper_server.engines.base import Engine
from whisper_server.engines.download import download
from whisper_server.engines.silero import find_speech
from whisper_server.errors import ModelUnavailable, Unavailable
from whisper_server.jobs import Jobs
from whisper_server.metrics import Metrics
from whisper_server.model_names import Model
from whisper_server.pipeline import Pipeline
from whisper_server.presets import EnginePlan
from whisper_server.scheduler import Scheduler
from whisper_server.settings import Settings
from whisper_server.speakers.diarizer import Diarizer

LOADING_RETRY_SECONDS = 2

logger = logging.getLogger(__name__)


@dataclass
class Service:
    """One model and what serves it.

    `diarizer` is None on a server that was started without it.
    `failure` is set when the model could not be loaded: the process then ends.
    """

    settings: Settings
    model: Model
    plan: EnginePlan
    engines: Sequence[Engine]
    find_speech: FindSpeech = find_speech
    diarizer: Diarizer | None = None
    ready: bool = False
    failure: ModelUnavailable | None = None

    def __post_init__(self) -> None:
        settings = self.settings
        self.metrics = Metrics()
        self.pipeline = Pipeline(self.engines, self.plan, settings, self.metrics, self.find_speech)
        self.scheduler = Scheduler(self.pipeline, self.plan, settings, self.metrics)
        self.jobs = Jobs(settings.job_keep_seconds, settings.job_keep_count, self.metrics.error)

    @property
    def finds_speakers(self) -> bool:
        """Whether speakers can be asked for: the models for it are there, or are loading."""
        return self.diarizer is not None and self.diarizer.works

    def require_ready(self) -> None:
        """Raise Unavailable while the model loads."""
        if not self.ready:
            fetching = f": {download}" if str(download) else "."
            raise Unavailable(
                f"The model '{self.model.name}' is still loading{fetching}",
                LOADING_RETRY_SECONDS,
                code="model_loading",
            )

    def load(self, on_failure: Callable[[], None]) -> None:
        """Load all copies; on a failure set `failure` and call `on_failure`."""
        started = time.monotonic()
        try:
            for engine in self.engines:
                engine.load()
            self.pipeline.start()
        except Exception as error:
            if not isinstance(error, ModelUnavailable):
                logger.exception("Loading the model failed in an unforeseen way")
                error = ModelUnavailable(f"Model '{self.model.name}' cannot be loaded: {error}")
            self.failure = error
            on_failure()
            return
        self.ready = True
        taken = time.monotonic() - started
        logger.info("Model %s is loaded after %.1f s", self.model.name, taken)
