"""Deliberate errors in the protocol, each of a kind that is easily made. Never shipped.

They show that the checker catches what it is there for: a chaos run with one of them must end in
breaches. Each replaces one or two names, and fails aloud when a name is gone.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pymongo import WriteConcern

import stt.coordinator.completion_route
import stt.store.claims
import stt.store.database
import stt.store.leases
import stt.store.recording_speakers
from stt.domain.claim import Claim
from stt.domain.transcript import Transcript
from stt.errors import ChunkError, DatabaseUnavailable, ServerFault, ServerUnavailable
from stt.store.claims import MongoClaims
from stt.store.database import Database, Document
from stt.system.process_identity import ProcessIdentity
from stt.whisper.pool import ServerPool
from stt.worker.transcriber import Outcome, Transcriber

_SLOW_JOIN_SECONDS = 0.3

Replace = Callable[[Any, str, object], None]
"""What does it: sets the name of an owner, and raises AttributeError if there is no such name."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """A break, and the fault that brings it to light."""

    name: str
    sentence: str
    shown_by: str
    replace_with: Callable[[Replace], None]

    def apply(self) -> None:
        """Breaks this process, for good."""
        self.replace_with(_replace)


def _replace(owner: Any, name: str, replacement: object) -> None:
    if not hasattr(owner, name):
        raise AttributeError(f"{owner} has no {name} any more: this mutation breaks nothing")
    setattr(owner, name, replacement)


def _no_fence(replace: Replace) -> None:
    replace(stt.store.claims, "_fence", lambda claim: {"_id": claim.chunk.id})
    # A coordinator checks the claim before it reads a transcript.
    replace(stt.coordinator.completion_route, "seconds_claimed_under", lambda *_: 60.0)


def _no_renewal(replace: Replace) -> None:
    replace(MongoClaims, "renew_all", lambda self, claims: [])


def _own_lease(replace: Replace) -> None:
    replace(stt.store.leases, "_seconds", lambda lease: None)


def _live_process(replace: Replace) -> None:
    replace(ProcessIdentity, "has_ended", lambda self, seen_by: self.pid != seen_by.pid)


def _client_clock(replace: Replace) -> None:
    replace(Database, "server_time", lambda self: datetime.now(UTC))


def _no_compare_and_set(replace: Replace) -> None:
    original = Database.change_chunk

    def by_id(self: Database, query: Document, *rest: Any) -> Document | None:
        return original(self, {"_id": query["_id"]}, *rest)

    replace(Database, "change_chunk", by_id)


def _no_journal(replace: Replace) -> None:
    replace(stt.store.database, "_DURABLE", WriteConcern(w=1, j=False))


def _no_lookup(replace: Replace) -> None:
    original = MongoClaims.complete

    def complete(self: MongoClaims, claim: Claim, transcript: Transcript) -> None:
        claim.trusted_until = 0.0
        with contextlib.suppress(DatabaseUnavailable):
            original(self, claim, transcript)

    replace(MongoClaims, "complete", complete)


def _no_speaker_compare_and_set(replace: Replace) -> None:
    def by_id(
        database: Database, recording_id: Any, change: Callable[[Document], Document | None]
    ) -> Document:
        stored = database.speakers.find_one({"_id": recording_id}) or {}
        if (fields := change(stored)) is None:
            return stored
        database.speakers.replace_one({"_id": recording_id}, fields, upsert=True)
        return {"_id": recording_id, **fields}

    join = stt.store.recording_speakers._join

    def slowly(*arguments: Any) -> Any:
        time.sleep(_SLOW_JOIN_SECONDS)  # within which a person may give a name
        return join(*arguments)

    replace(stt.store.recording_speakers, "_change", by_id)
    replace(stt.store.recording_speakers, "_join", slowly)


def _no_speaker_refresh(replace: Replace) -> None:
    replace(stt.store.recording_speakers, "_fingerprint", lambda *_: "joined")


class _Blamed(Exception):
    """Carries a failure past the pipeline, which would try each chunk alone."""

    def __init__(self, failure: ChunkError) -> None:
        super().__init__(str(failure))
        self.failure = failure


def _blame_neighbours(replace: Replace) -> None:
    transcribe, call = Transcriber.transcribe, ServerPool.transcribe

    def refusing(self: ServerPool, *arguments: Any, **options: Any) -> Any:
        try:
            return call(self, *arguments, **options)
        except ChunkError as error:
            raise _Blamed(error) from error

    def charging_all(
        self: Transcriber, claims: Sequence[Claim], *rest: Any
    ) -> Iterator[tuple[Claim, Outcome]]:
        ended = set()
        try:
            for claim, outcome in transcribe(self, claims, *rest):
                ended.add(claim.id)
                yield claim, outcome
        except _Blamed as blamed:
            for claim in claims:
                if claim.id not in ended:
                    yield claim, blamed.failure

    replace(ServerPool, "transcribe", refusing)
    replace(Transcriber, "transcribe", charging_all)


def _blame_server(replace: Replace) -> None:
    call = ServerPool.transcribe

    def charging(self: ServerPool, *arguments: Any, **options: Any) -> Any:
        try:
            return call(self, *arguments, **options)
        except ServerUnavailable as error:
            raise ServerFault(str(error)) from error

    replace(ServerPool, "transcribe", charging)


_ALL = (
    Mutation(
        "no-fence",
        "complete, release, fail and renew match on the chunk's _id alone",
        "workers stopped past their lease, which wake up and write",
        _no_fence,
    ),
    Mutation(
        "no-renewal",
        "the heartbeat renews nothing",
        "calls that take longer than a lease",
        _no_renewal,
    ),
    Mutation(
        "own-lease",
        "each worker judges all claims by its own lease",
        "a worker with a short lease beside others with a long one",
        _own_lease,
    ),
    Mutation(
        "live-process",
        "a worker takes the others of its machine for ended",
        "several workers on one machine",
        _live_process,
    ),
    Mutation(
        "client-clock",
        "each worker decides by its own clock what is stale",
        "a worker whose clock is an hour ahead",
        _client_clock,
    ),
    Mutation(
        "no-compare-and-set",
        "a claim takes the chunk, whoever holds it or has done it",
        "several workers, and nothing else",
        _no_compare_and_set,
    ),
    Mutation(
        "no-journal",
        "writes are acknowledged before they are on the disk",
        "a database that is killed and started again",
        _no_journal,
    ),
    Mutation(
        "no-lookup",
        "a result whose writing broke off is taken for written",
        "connections to the database that are cut",
        _no_lookup,
    ),
    Mutation(
        "no-speaker-compare-and-set",
        "joined speakers are written, whoever has changed them since they were read",
        "workers that end recordings while a person names their speakers",
        _no_speaker_compare_and_set,
    ),
    Mutation(
        "no-speaker-refresh",
        "speakers that were joined once are not joined again",
        "chunks that are transcribed after their recording's speakers were read",
        _no_speaker_refresh,
    ),
    Mutation(
        "blame-neighbours",
        "when a sequence fails, every chunk in it is charged",
        "chunks that servers refuse or break on, among others",
        _blame_neighbours,
    ),
    Mutation(
        "blame-server",
        "a server that is away is charged to the chunk that was sent to it",
        "servers that are killed, and all their connections cut",
        _blame_server,
    ),
)
MUTATIONS: Mapping[str, Mutation] = {mutation.name: mutation for mutation in _ALL}
