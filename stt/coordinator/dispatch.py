"""Which pending chunks a caller is shown, and whole sequences claimed for nodes."""

import contextlib
import time
from dataclasses import dataclass, replace

from bson import ObjectId

from stt.coordinator.authenticator import Principal
from stt.coordinator.context import Coordinator, check_worker
from stt.domain.chunk import RUNS_PER_SLOT, Chunk, ChunkRun, rotated
from stt.domain.claim import Claim, ClaimRules, Order, Page
from stt.domain.node import Node, reserved_slots
from stt.errors import ClaimLost
from stt.store.claim_queries import chunks_held_under
from stt.store.claims import MongoClaims

_CLOSED_SECONDS = 5.0
_RESERVED_SECONDS = 2.0
_MAX_TRIES = 3
_PAGE_CHUNKS = 100
_NODES_MAX_AGE_SECONDS = 1.0
_ANY = Order()


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """The queue as one caller is shown it; its methods raise DatabaseUnavailable.

    Raises Forbidden if a node names another one's worker.
    """

    coordinator: Coordinator
    principal: Principal
    worker_id: str | None = None

    def __post_init__(self) -> None:
        if self.worker_id is not None:
            check_worker(self.principal, self.worker_id)

    def claims(self, lease_seconds: float | None = None) -> MongoClaims:
        """Return the worker's claims; they do not retry, since the caller does that itself.

        `lease_seconds` is the worker's own, by which it renews them; else it is ours.
        """
        rules = ClaimRules.of(self.coordinator.settings)
        if lease_seconds is not None:
            rules = replace(rules, lease_seconds=lease_seconds)
        claims = MongoClaims(self.coordinator.database, self.worker_id or "", rules)
        claims.stop_retrying()
        return claims

    @property
    def is_open(self) -> bool:
        """False for a node that is to get no work."""
        if not isinstance(self.principal, Node):
            return True
        return self.principal.is_enabled and self.coordinator.options.distributed

    def page(
        self,
        limit: int,
        order: Order,
        *,
        max_run: int | None = None,
        is_repeat: bool = False,
        is_waiting: bool = False,
    ) -> Page:
        """Return pending chunks in claim order; none for a node that is to get no work.

        With `is_waiting`, for a caller that waits for work, one run alone while work is scarce,
        and each one to another caller: so that not all of them try to claim the same one. It has
        at most `max_run` chunks (else `limit`), for what is offered is kept from the others. With
        `is_repeat`, for a caller that has been waiting, the queue is read only if the check that
        all waiting callers share has found a pending chunk: their number costs nothing.

        While work is scarce, the first chunks are reserved for idle nodes of a higher priority,
        for as long as one may take to ask for them.
        """
        if not self.is_open:
            return Page((), is_last=True, next_due_seconds=_CLOSED_SECONDS)
        if is_repeat and not self.coordinator.has_pending.get():
            return Page((), is_last=True)
        reserved = self._reserved()
        page = self._read(limit + reserved, order, reserved, is_shared=is_repeat and is_waiting)
        overdue = self.coordinator.reservations.overdue(page, reserved) if reserved else ()
        chunks = tuple(
            chunk for at, chunk in enumerate(page.chunks) if at >= reserved or chunk.id in overdue
        )
        if page.is_last:
            chunks = self._offered(page, chunks, max_run or limit, is_waiting=is_waiting)
        if page.chunks and not chunks:
            return Page((), is_last=True, next_due_seconds=_RESERVED_SECONDS)
        # What is offered to others is pending, too.
        is_last = page.is_last and len(chunks) == len(page.chunks)
        return replace(page, chunks=chunks, is_last=is_last)

    def take(
        self,
        claim_id: ObjectId,
        limit: int,
        order: Order = _ANY,
        *,
        is_repeat: bool = False,
    ) -> list[Claim]:
        """Claim a sequence of at most `limit` chunks under one id; empty if there is none now.

        The same id again returns what is held under it.
        """
        claims, database = self.claims(), self.coordinator.database
        known = [] if is_repeat else chunks_held_under(database, self.worker_id or "", claim_id)
        if known:
            now = time.monotonic()
            return [Claim(claim_id, chunk, self.worker_id or "", now) for chunk in known]
        for _ in range(_MAX_TRIES):
            page = self.page(
                _PAGE_CHUNKS, order, max_run=limit, is_repeat=is_repeat, is_waiting=True
            )
            if not page.chunks:
                return []
            share = min(limit, page.share(self.coordinator.roster))
            found = page.runs(page.chunks, self.coordinator.settings.sequence_seconds, share)
            if not found:
                return []
            window = RUNS_PER_SLOT * self.coordinator.roster.slots_alive()
            if taken := _claim_all(claims, rotated(found, window)[0], claim_id):
                return taken
        return []

    def _read(self, limit: int, order: Order, reserved: int, *, is_shared: bool) -> Page:
        """Read a page; with `is_shared` the one that all waiting callers share, if it is enough."""
        if is_shared and order == Order(without_models=order.without_models):
            front = self.coordinator.front(order.without_models).get()
            if front.is_last:
                return front
        if not reserved:  # what is reserved is at the front
            order = replace(order, readers=self.coordinator.roster.workers_alive())
        return self.claims().page(limit, order)

    def _offered(
        self, page: Page, chunks: ChunkRun, limit: int, *, is_waiting: bool
    ) -> tuple[Chunk, ...]:
        """Return a run for one that waits, else all the chunks; none that is offered to another."""
        offers = self.coordinator.offers
        if not is_waiting:
            return offers.free(chunks)
        share = min(limit, page.share(self.coordinator.roster))
        seconds = self.coordinator.settings.sequence_seconds
        whole = [chunk for run in page.runs(chunks, seconds, share) for chunk in run]
        return offers.offer(whole, seconds, share)

    def _reserved(self) -> int:
        if not isinstance(self.principal, Node):
            return 0
        snapshot = self.coordinator.registry.snapshot(_NODES_MAX_AGE_SECONDS)
        offline_seconds = self.coordinator.options.offline_seconds
        return reserved_slots(self.principal, snapshot.nodes.values(), snapshot.at, offline_seconds)


def _claim_all(claims: MongoClaims, run: ChunkRun, claim_id: ObjectId) -> list[Claim]:
    """Claim in order, up to the first chunk that another worker has.

    A chunk that failed before is claimed alone.
    """
    taken: list[Claim] = []
    for chunk in run:
        claim = claims.claim(chunk, claim_id)
        if claim is None:
            break
        if taken and claim.chunk.has_failed_before:
            with contextlib.suppress(ClaimLost):
                claims.release(claim)
            break
        taken.append(claim)
    return taken
