"""The notifications of one destination: recorded when recordings end, and claimed to be delivered.

What makes it safe to crash at any step, and to run in any number of processes at once:

- Nothing is written with the last chunk. `record` finds the recordings that have ended since it was
  last called, by any process, and so also what ended while none ran.
- A notification's id is made from its destination and the ending, so recording it twice is one.
- The destination's document says since when to look, and is changed last, and only if no other
  process has changed it meanwhile (`version`). Until then all of this is done again.
- A claim is one conditional update: a new `claim_id`, and `not_before` at the end of its lease. If
  the process ends, the notification is due again by then, without anybody's doing. So each is
  delivered at least once, with the same event id; twice only if a process ends, or its lease does,
  between the delivery and `delivered`.
- `delivered` and `failed` match on the `claim_id`. A notification ends for good as delivered, as
  given up once its next try would be three days after it was recorded, or as unwanted.
"""

import json
import logging
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError

from stt.domain.notification import (
    GIVE_UP_SECONDS,
    LEASE_SECONDS,
    DeliveryFailure,
    Notification,
    retry_seconds,
)
from stt.notification_settings import EventType
from stt.store import event_bodies
from stt.store.database import Database, Document, Repository
from stt.store.documents import read_count, read_hashable, read_list, read_text, read_time
from stt.store.endings import (
    ChunkEnd,
    Ending,
    chunks_ended_since,
    event_id,
    is_queue_empty,
    read_ending,
)

logger = logging.getLogger(__name__)

RECORD_SECONDS = 2.0
"""Time between two searches for recordings that have ended, of all processes together."""

_OVERLAP = timedelta(seconds=30)
"""A write may be seen so long after the time that it has."""
_QUIET_SECONDS = 10.0
"""The queue is empty once it was so for this long: files of a folder are ingested one by one."""
_AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)
"""Not the time of the server, which may be wrong, and right later."""
_LONGEST_LOOK_BACK = timedelta(days=7)
_LOOK_BACK_OF_WRONG_CLOCK = timedelta(days=1)
_MAX_ERRORS = 5
_MAX_REASON_CHARACTERS = 300
_PAGE = 20

_INDEXES = [
    IndexModel(
        [("destination", 1), ("ended_at", 1), ("not_before", 1), ("created_at", 1)], name="due"
    ),
    IndexModel([("destination", 1), ("outcome", 1), ("ended_at", 1)], name="outcomes"),
    IndexModel([("destination", 1), ("at", 1)], name="endings"),
    IndexModel([("created_at", 1)], name="expiry", expireAfterSeconds=30 * 86_400),
]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where notifications go: `key` is made from its address, `name` is for people.

    `events`: those that it wants. `page_url`: the address of the coordinator's pages, if known.
    """

    key: str
    name: str
    events: Collection[EventType]
    page_url: str | None = None


class Outbox(Repository):
    """The notifications of one destination in one database. For one thread."""

    def __init__(self, database: Database, destination: Destination) -> None:
        super().__init__(database)
        self._destination = destination
        self._of_this = {"destination": destination.key}
        self._seen: set[ChunkEnd] = set()
        """The chunks that this process has taken into account and may read again."""

    def open(self) -> None:
        """Make the indexes, and store the destination's name."""
        self._db.notifications.create_indexes(_INDEXES)
        self._db.destinations.update_one(
            {"_id": self._destination.key}, {"$set": {"name": self._destination.name}}, upsert=True
        )

    def begin(self) -> None:
        """Let `record` find what ends from now on, unless that was begun before."""
        now = self._db.server_time()
        state: Document = {
            "begun_at": now, "since": now, "emptied_at": now, "empty_since": None, "waiting": [],
            "version": 0,
        }  # fmt: skip
        self._db.destinations.update_one(
            {"_id": self._destination.key, "since": None}, {"$set": state}
        )

    def record(self, *, at_once: bool = False) -> None:
        """Record notifications of what has ended; do nothing if it was done a moment ago.

        `at_once`: do it in any case, and call the queue empty without waiting for a while.
        """
        state = self._db.destinations.find_one({"_id": self._destination.key}) or {}
        now = self._db.server_time()
        last = read_time(state.get("since")) or now
        passed_seconds = (now - last).total_seconds()
        if not at_once and 0 <= passed_seconds < RECORD_SECONDS:
            return
        begun_at = read_time(state.get("begun_at")) or last
        since = max(last - _OVERLAP, begun_at, now - _LONGEST_LOOK_BACK)
        emptied_at = read_time(state.get("emptied_at")) or last
        if passed_seconds < 0:  # the server's clock was set back
            since = now - _LOOK_BACK_OF_WRONG_CLOCK
            emptied_at = min(emptied_at, now)
        # Before the endings: what ended until then is among those that are recorded now.
        empty_at = self._db.server_time() if is_queue_empty(self._db) else None
        ended = list(chunks_ended_since(self._db, since))
        candidates = {recording_id for recording_id, end in ended if end not in self._seen}
        candidates.update(map(read_hashable, read_list(state.get("waiting"))))
        waiting = self._record_endings(candidates, now)
        changes: Document = {"since": now, "waiting": waiting, "emptied_at": emptied_at}
        changes |= self._record_empty(state, emptied_at, empty_at, at_once=at_once)
        version = state.get("version")
        is_changed = self._db.destinations.update_one(
            {"_id": self._destination.key, "version": version},
            {"$set": {**changes, "version": read_count(version) + 1}},
        ).matched_count
        if is_changed:  # else another process has done the same, and has seen what it has
            self._seen = {end for _, end in ended}

    def record_of(self, recording_ids: Iterable[ObjectId]) -> list[str]:
        """Record the endings of these recordings alone; return the ids of their notifications."""
        now = self._db.server_time()
        endings = [read_ending(self._db, recording_id) for recording_id in recording_ids]
        return [self._add_ending(end, now) for end in endings if isinstance(end, Ending)]

    def due(self, ids: Collection[str] | None = None) -> Iterator[str]:
        """Yield the first notifications that may be delivered now, of these ids or of all."""
        query: Document = {**self._of_this, "ended_at": None}
        query["not_before"] = {"$lte": self._db.server_time()}
        if ids is not None:
            query["_id"] = {"$in": list(ids)}
        found = self._db.notifications.find(query, ["_id"]).sort(
            [("not_before", 1), ("created_at", 1)]
        )
        yield from [document["_id"] for document in found.limit(_PAGE)]

    def claim(self, id_: str) -> Notification | None:
        """Claim a notification that is due; return None if another process was first.

        Give it up instead if it was tried before and has become too old.
        """
        now, claim_id = self._db.server_time(), ObjectId()
        document = self._db.notifications.find_one({"_id": id_, "ended_at": None})
        if document is None or (read_time(document.get("not_before")) or now) > now:
            return None
        as_read = {"_id": id_, "ended_at": None}
        as_read |= {name: document.get(name) for name in ("claim_id", "not_before")}
        attempts = read_count(document.get("attempts"))
        created_at = read_time(document.get("created_at")) or now
        if attempts and _is_too_old(created_at, now):  # the processes that tried it have ended
            logger.warning(
                "A notification to %s is given up: it is too old", self._destination.name
            )
            self._end(as_read, "given up", now)
            return None
        lease = {"claim_id": claim_id, "not_before": now + timedelta(seconds=LEASE_SECONDS)}
        self._db.notifications.update_one(as_read, {"$set": {**lease, "attempts": attempts + 1}})
        # The driver may have written it twice: read what has become of it.
        if self._db.notifications.find_one({"_id": id_, "claim_id": claim_id}, ["_id"]) is None:
            return None
        return Notification(
            id=id_,
            event_id=str(document["event_id"]),
            type=document["type"],
            body=read_text(document.get("body")) or "{}",
            attempts=attempts + 1,
            created_at=created_at,
            claim_id=claim_id,
        )

    def renew(self, notification: Notification) -> None:
        """Begin the lease of a claim anew."""
        not_before = self._db.server_time() + timedelta(seconds=LEASE_SECONDS)
        self._db.notifications.update_one(
            _fence(notification), {"$set": {"not_before": not_before}}
        )

    def delivered(self, notification: Notification) -> None:
        """End a notification as delivered, unless its claim was lost."""
        self._end(_fence(notification), "delivered", self._db.server_time())

    def failed(self, notification: Notification, failure: DeliveryFailure) -> float | None:
        """Put a notification off; return the seconds until the next try, None if it is given up."""
        now = self._db.server_time()
        document = self._db.notifications.find_one(_fence(notification), ["errors"]) or {}
        reason = failure.reason[:_MAX_REASON_CHARACTERS]
        error = {"at": now, "attempt": notification.attempts, "message": reason}
        errors = [*read_list(document.get("errors")), error][-_MAX_ERRORS:]
        wait = retry_seconds(notification.attempts, failure.retry_after_seconds)
        next_try = now + timedelta(seconds=wait)
        if failure.is_final or _is_too_old(notification.created_at, next_try):
            self._end(_fence(notification), "given up", now, errors=errors)
            return None
        put_off = {"not_before": next_try, "errors": errors}
        self._db.notifications.update_one(_fence(notification), {"$set": put_off})
        return wait

    def _record_endings(self, candidates: Iterable[Any], now: datetime) -> list[Any]:
        """Record those that have ended; return those to look at again."""
        waiting = []
        for recording_id in candidates:
            ending = read_ending(self._db, recording_id)
            if ending == "unsettled":
                waiting.append(recording_id)
            elif isinstance(ending, Ending):
                self._add_ending(ending, now)
        return waiting

    def _record_empty(
        self, state: Document, emptied_at: datetime, empty_at: datetime | None, *, at_once: bool
    ) -> Document:
        """Record that the queue is empty, if it is and recordings have ended since it last was.

        `empty_at`: when it was found to be empty. Return the changes to the destination's document.
        """
        recorded = {**self._of_this, "at": {"$gt": emptied_at}}
        if empty_at is None or self._db.notifications.find_one(recorded, ["_id"]) is None:
            return {"empty_since": None}
        empty_since = read_time(state.get("empty_since")) or empty_at
        if not at_once and (empty_at - empty_since).total_seconds() < _QUIET_SECONDS:
            return {"empty_since": empty_since}
        # The same id for each process that reads the same state.
        id_ = event_id("queue.empty", self._destination.key, str(state.get("emptied_at")))
        body = event_bodies.of_empty_queue(self._db, empty_at)
        self._add(id_, "queue.empty", {}, body, empty_at)
        return {"empty_since": None, "emptied_at": empty_at}

    def _add_ending(self, ending: Ending, now: datetime) -> str:
        body = event_bodies.of_ending(self._db, ending, now, self._destination.page_url)
        of_recording = {"recording": ending.recording.id, "at": ending.at or now}
        return self._add(ending.id, ending.type, of_recording, body, now)

    def _add(
        self, event: str, type_: EventType, fields: Document, body: Document, now: datetime
    ) -> str:
        """Add a notification if it is not there; return its id."""
        id_ = f"{self._destination.key}:{event}"
        is_wanted = type_ in self._destination.events
        new = {
            "_id": id_, "event_id": event, "type": type_, **fields,
            "body": json.dumps(body), **self._of_this, "created_at": now, "not_before": _AT_ONCE,
            "attempts": 0, "claim_id": None, "errors": [],
            "ended_at": None if is_wanted else now, "outcome": None if is_wanted else "unwanted",
        }  # fmt: skip
        with suppress(DuplicateKeyError):
            self._db.notifications.insert_one(new)
        return id_

    def _end(self, query: Document, outcome: str, now: datetime, **fields: Any) -> None:
        ended = {"ended_at": now, "outcome": outcome, **fields}
        self._db.notifications.update_one(query, {"$set": ended})


def _fence(notification: Notification) -> Document:
    return {"_id": notification.id, "claim_id": notification.claim_id, "ended_at": None}


def _is_too_old(created_at: datetime, now: datetime) -> bool:
    return (now - created_at).total_seconds() >= GIVE_UP_SECONDS
