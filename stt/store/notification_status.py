"""Show what is still to be notified, and what was given up. Raises DatabaseUnavailable."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from stt.store.database import Database, Document, translated
from stt.store.documents import read_mappings, read_text, read_time

GIVEN_UP_DAYS = 7
_UNATTENDED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """The notifications of one destination that were not delivered.

    `given_up`: those of the last seven days. `error`: the latest one of what waits, else of what
    was given up. `is_attended`: a process looks after it.
    """

    name: str
    waiting: int
    given_up: int
    error: str | None
    next_try_at: datetime | None
    is_attended: bool


def destination_statuses(database: Database, now: datetime) -> tuple[DestinationStatus, ...]:
    """Return the destinations that have such notifications; `now` is the server's time."""
    with translated():
        found = list(database.destinations.find({}, ["name", "since"]).sort("_id", 1))
        statuses = [_status(database, destination, now) for destination in found]
    return tuple(one for one in statuses if one.waiting or one.given_up)


def _status(database: Database, destination: Document, now: datetime) -> DestinationStatus:
    of_this = {"destination": destination["_id"]}
    since = now - timedelta(days=GIVEN_UP_DAYS)
    waiting: Document = {**of_this, "ended_at": None}
    given_up: Document = {**of_this, "outcome": "given up", "ended_at": {"$gte": since}}
    notifications = database.notifications
    first = notifications.find_one(waiting, ["not_before"], sort=[("not_before", 1)])
    errors = [
        *_last_errors(database, {**waiting, "errors.0": {"$exists": True}}, "not_before"),
        *_last_errors(database, given_up, "ended_at"),
    ]
    looked_at = read_time(destination.get("since"))
    next_try_at = read_time(first.get("not_before")) if first else None
    return DestinationStatus(
        name=read_text(destination.get("name")) or "",
        waiting=notifications.count_documents(waiting),
        given_up=notifications.count_documents(given_up),
        error=errors[0] if errors else None,
        next_try_at=next_try_at if next_try_at and next_try_at > now else None,
        is_attended=looked_at is not None
        and (now - looked_at).total_seconds() < _UNATTENDED_SECONDS,
    )


def _last_errors(database: Database, query: Document, order: str) -> Iterator[str]:
    """Yield the last error of the last of these notifications, if there is one."""
    found = database.notifications.find_one(query, ["errors"], sort=[(order, -1)])
    errors = read_mappings(found.get("errors")) if found else []
    yield from (str(error.get("message") or "") for error in errors[-1:])
