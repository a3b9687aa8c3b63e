"""Which pending chunks a node is shown, and a whole sequence claimed for one that asks for work."""

import contextlib
import random
import time
from dataclasses import dataclass

from bson import ObjectId

from stt.coordinator.context import Coordinator, Principal
from stt.coordinator.store.nodes import Node
from stt.domain.chunk import ChunkRun, chunk_runs
from stt.domain.claim import Claim, ClaimRules, Order, Page
from stt.domain.node import reserved_slots
from stt.errors import ClaimLost
from stt.store.claim_queries import chunks_held_under
from stt.store.claims import MongoClaims
from stt.store.workers import MongoRoster

_OFF_SECONDS = 5.0
_RESERVED_SECONDS = 2.0
_TRIES = 3
_PAGE = 100
_LOOK_SECONDS = 1.0
_NEAR_THE_FRONT = 4


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """The queue as one asker is shown it. Raises DatabaseUnavailable."""

    coordinator: Coordinator
    principal: Principal
    worker: str

    def claims(self) -> MongoClaims:
        """On the asker's behalf: it asks again itself, so nothing is waited for here."""
        claims = MongoClaims(self.coordinator.database, self.worker, rules_of(self.coordinator))
        claims.stop_retrying()
        return claims

    @property
    def is_open(self) -> bool:
        """False for a node that is to get no work."""
        if not isinstance(self.principal, Node):
            return True
        return self.principal.is_enabled and self.coordinator.options.distributed

    def page(self, limit: int, order: Order, *, is_again: bool = False) -> Page:
        """Pending chunks in claim order; none for a node that is to get no work.

        Who looks `is_again` shares one look with all who wait here: their number costs nothing.

        While work is scarce, the first chunks are left to nodes of a higher priority that have
        nothing to do, for as long as it may take one to come for them.
        """
        if not self.is_open:
            return Page((), is_last=True, next_due_seconds=_OFF_SECONDS)
        if is_again and not self.coordinator.pending.is_any():
            return Page((), is_last=True)
        reserved = self._reserved()
        page = self.claims().page(limit + reserved, order)
        overdue = self.coordinator.reservations.overdue(page, reserved) if reserved else ()
        chunks = tuple(
            chunk for at, chunk in enumerate(page.chunks) if at >= reserved or chunk.id in overdue
        )
        if page.chunks and not chunks:
            return Page((), is_last=True, next_due_seconds=_RESERVED_SECONDS)
        return Page(chunks, page.is_last, page.next_due_seconds)

    def take(self, claim_id: ObjectId, limit: int, *, is_again: bool = False) -> list[Claim]:
        """A sequence of at most `limit` chunks, claimed under one id; the same one if asked again.

        Empty if nothing is to be had right now.
        """
        claims = self.claims()
        known = (
            () if is_again else chunks_held_under(self.coordinator.database, self.worker, claim_id)
        )
        if known:
            until = time.monotonic()
            return [Claim(claim_id, chunk, self.worker, until) for chunk in known]
        for _ in range(_TRIES):
            page = self.page(_PAGE, Order(), is_again=is_again)
            if not page.chunks:
                return []
            settings = self.coordinator.settings
            share = limit
            if page.is_last:
                slots = MongoRoster(self.coordinator.database).slots_alive()
                share = min(limit, max(1, len(page.chunks) // slots))
            dealt = chunk_runs(page.chunks, settings.sequence_seconds, share)
            # Not all at the same one: those who ask at once would all miss but one.
            if taken := _claimed(claims, random.choice(dealt[:_NEAR_THE_FRONT]), claim_id):
                return taken
        return []

    def _reserved(self) -> int:
        if not isinstance(self.principal, Node):
            return 0
        look = self.coordinator.registry.look(max_age_seconds=_LOOK_SECONDS)
        offline_seconds = self.coordinator.options.offline_seconds
        return reserved_slots(self.principal, look.nodes.values(), look.at, offline_seconds)


def rules_of(coordinator: Coordinator) -> ClaimRules:
    """The numbers of the protocol, as this coordinator's settings have them."""
    settings = coordinator.settings
    return ClaimRules.of(settings)


def _claimed(claims: MongoClaims, run: ChunkRun, claim_id: ObjectId) -> list[Claim]:
    """Claims in order up to the first that is not to be had; one that failed before stays alone."""
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
