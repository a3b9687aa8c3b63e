"""What every request is given: the coordinator's parts, and its sender."""

import threading
from functools import lru_cache
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from stt.coordinator.authenticator import Authenticator, Person, Principal
from stt.coordinator.errors import Forbidden
from stt.coordinator.metrics import Metrics
from stt.coordinator.offers import Offers
from stt.coordinator.reservations import Reservations
from stt.coordinator.store.nodes import NodeRegistry
from stt.coordinator.store.options import StoredOptions
from stt.coordinator.store.status import QueueMonitor
from stt.coordinator.store.uploads import UploadLog
from stt.domain.claim import Order, Page
from stt.domain.node import Node
from stt.domain.worker_id import WorkerId
from stt.settings import Settings
from stt.store.claim_queries import has_pending
from stt.store.database import Database
from stt.store.ingest_options import IngestOptions
from stt.store.model_routing import read_page
from stt.store.recording_list import RecordingLister
from stt.store.recordings import MongoRecordings
from stt.store.search import Search
from stt.store.text_summary import summaries_of_all
from stt.store.workers import MongoRoster
from stt.system.single_flight import SingleFlight

_AUDIO_READS = 12
"""From S3 at once, of the 40 threads that answer requests: it may hang, and the queue goes on."""
_SUMMARY_TIMEOUT_SECONDS = 1.0
_EXACT_SECONDS = 1.0
_FRONT_CHUNKS = 500
_FRONTS = 100


class Coordinator:
    """The parts of one coordinator process; safe between threads.

    `closing` is set once the process is about to end: what waits on behalf of a client checks it
    every second or so. Raises ConfigError for options of uploads that cannot be.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        database.objects.limit_reads(_AUDIO_READS)
        self.settings = settings
        IngestOptions.of_uploads(settings)
        self.stored_options = StoredOptions(database, settings)
        self.registry = NodeRegistry(database)
        self.authenticator = Authenticator(database, settings, self.registry)
        self.has_pending = SingleFlight(lambda: has_pending(database), keep_seconds=0.9)
        self.front = lru_cache(maxsize=_FRONTS)(self._front)
        """The first pending chunks without some models, for all callers that wait for work."""
        self.server_time = SingleFlight(database.server_time)
        self.queue_monitor = QueueMonitor(database, settings, self.stored_options, self.registry)
        self.recordings = MongoRecordings(database)
        summaries = SingleFlight(
            lambda: summaries_of_all(database), keep_seconds=2.0, rest_factor=9.0
        )
        self.lister = RecordingLister(
            database, lambda: summaries.get(timeout_seconds=_SUMMARY_TIMEOUT_SECONDS)
        )
        """For lists that are read again; by language and model as of a while ago."""
        self.exact_lister = RecordingLister(
            database, lambda: summaries.get(max_age_seconds=_EXACT_SECONDS)
        )
        """For what is done to all that match."""
        self.roster = MongoRoster(database)
        self.uploads = UploadLog(database)
        self.search = Search(database, in_background=True)
        self.metrics = Metrics(self.queue_monitor)
        self.reservations = Reservations()
        self.offers = Offers()
        self.closing = threading.Event()

    def _front(self, without_models: tuple[str, ...]) -> SingleFlight[Page]:
        order = Order(without_models=without_models)
        return SingleFlight(
            lambda: read_page(self.database, _FRONT_CHUNKS, order), keep_seconds=0.9
        )

    @property
    def options(self) -> Settings:
        """The settings with the stored options as they are now. Raises DatabaseUnavailable."""
        return self.stored_options.current()


# Dependencies are async: each plain one would wait for a thread of the pool, and those may all
# wait for a database that is away.


async def _coordinator(connection: HTTPConnection) -> Coordinator:
    found: Coordinator = connection.app.state.coordinator
    return found


async def _principal(connection: HTTPConnection) -> Principal:
    found: Principal = connection.scope["state"]["principal"]
    return found


InCoordinator = Annotated[Coordinator, Depends(_coordinator)]
CurrentPrincipal = Annotated[Principal, Depends(_principal)]
"""A person or a node; the route decides what each of them may do."""


async def _person(principal: CurrentPrincipal) -> Person:
    if not isinstance(principal, Person):
        raise Forbidden("This is for people: a node's key does not open it.")
    return principal


PEOPLE_ONLY = Depends(_person)
"""For `APIRouter(dependencies=[PEOPLE_ONLY])`: 403 for a node."""


async def _key_holder(principal: CurrentPrincipal) -> None:
    if isinstance(principal, Person) and principal.is_by_cookie:
        raise Forbidden(
            "This is for programs with a key: a browser's session opens no address that changes"
            " something by GET.",
            code="csrf",
        )


KEY_ONLY = Depends(_key_holder)
"""403 for a browser's session, whose cookie any page on this host can make it send by GET."""


def check_worker(principal: Principal, worker_id: str) -> None:
    """Raise Forbidden if a node names a worker that is not its own."""
    if isinstance(principal, Node) and WorkerId(worker_id).owner != principal.id:
        raise Forbidden(f"Node {principal.id} may not speak for worker {worker_id}.")


def check_node(principal: Principal, node_id: str) -> None:
    """Raise Forbidden if a node names another one."""
    if isinstance(principal, Node) and principal.id != node_id:
        raise Forbidden(f"Node {principal.id} may not speak for node {node_id}.")
