"""Which chunks a worker leaves to others, because none of its servers has the model."""

import logging
import time
from dataclasses import replace

from stt.domain.claim import Claims, Order, Page
from stt.whisper.model_lookup import MissingModels
from stt.whisper.model_names import described
from stt.whisper.pool import ServerPool
from stt.whisper.server_state import Listing
from stt.worker.stop_conditions import POLL_SECONDS

logger = logging.getLogger(__name__)

_COUNT_SECONDS = 30.0
"""Between two counts of what waits for a model."""


class ModelRouting:
    """Reads pages without the chunks that wait for a model. For one thread at a time."""

    def __init__(self, claims: Claims, pool: ServerPool) -> None:
        self._claims = claims
        self._pool = pool
        self._wanted: tuple[str, ...] = ()
        self._missing = MissingModels()
        self.listed = Listing()
        """What the servers say that they have, as of the last page."""
        self._counted_at: dict[str, float] = {}  # on time.monotonic()
        self._logged: set[str] = set()

    @property
    def missing(self) -> tuple[str, ...]:
        """The models that recordings want and no server has, as of the last page."""
        return tuple(sorted(self._missing.names - self._missing.away))

    def read_page(self, limit: int, order: Order) -> Page:
        """Return a page of what some server can do. Raises DatabaseUnavailable.

        An empty one is no sign of an empty queue while chunks wait for a model of a server that is
        away.
        """
        self.listed = self._pool.listed()
        self._missing = self._pool.missing_models(self._wanted)
        page = self._read(limit, order)
        if page.models and page.models != self._wanted:  # a short answer has none
            self._wanted = page.models
            missing = self._pool.missing_models(self._wanted)
            if missing != self._missing:
                self._missing = missing
                page = self._read(limit, order)
        self._log(order)
        if not page.chunks and page.next_due_seconds is None and self._missing.away:
            away = tuple(sorted(self._missing.away))
            self._pool.start_probes()  # threads without a plan start none
            if self._claims.count_pending(replace(order, models=away)):
                return replace(page, next_due_seconds=POLL_SECONDS)
        return page

    def _read(self, limit: int, order: Order) -> Page:
        without = tuple(sorted(self._missing.names))
        return self._claims.page(limit, replace(order, without_models=without))

    def _log(self, order: Order) -> None:
        """Log once that chunks wait for a model, until it is there."""
        self._logged &= set(self.missing)
        now = time.monotonic()
        for model in self.missing:
            is_due = now - self._counted_at.get(model, float("-inf")) >= _COUNT_SECONDS
            if model in self._logged or not is_due:
                continue
            self._counted_at[model] = now
            if count := self._claims.count_pending(replace(order, models=(model,))):
                self._logged.add(model)
                wait = "chunk waits" if count == 1 else "chunks wait"
                message = "%d %s for %s, which no whisper server of this worker has"
                logger.warning(message, count, wait, described(model))
