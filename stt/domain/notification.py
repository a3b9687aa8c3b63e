"""Notifications: what a destination gets when recordings end, and when to try again."""

import random
from dataclasses import dataclass
from datetime import datetime

from bson import ObjectId

from stt.notification_settings import EventType

GIVE_UP_SECONDS = 3 * 86_400.0
"""A notification that failed is given up if the next try would be so long after the event."""

LEASE_SECONDS = 60.0
"""A process that began a delivery has so long to end it, or to renew its claim."""

_FIRST_WAIT_SECONDS = 5.0
_GROWTH = 6.0
_MAX_WAIT_SECONDS = 4 * 3_600.0
_JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Notification:
    """An event for one destination, claimed by this process under `claim_id`.

    `event_id` is the same at each try and for each destination. `body`: the event as JSON.
    `attempts`: how many tries have begun, this one too.
    """

    id: str
    event_id: str
    type: EventType
    body: str
    attempts: int
    created_at: datetime
    claim_id: ObjectId


@dataclass(frozen=True, slots=True)
class DeliveryFailure:
    """Why a destination did not take a notification.

    `retry_after_seconds`: the wait that it asks for. `is_final`: it wants no further try.
    """

    reason: str
    retry_after_seconds: float = 0.0
    is_final: bool = False


def retry_seconds(attempts: int, retry_after_seconds: float = 0.0) -> float:
    """Return the wait after the `attempts`-th failure: 5 s, 30 s, 3 min, 18 min … 4 h.

    With some jitter. At least what the destination asks for, and not more than 4 h for that.
    """
    wait = min(_FIRST_WAIT_SECONDS * _GROWTH ** min(attempts - 1, 10), _MAX_WAIT_SECONDS)
    wait = max(wait, min(retry_after_seconds, _MAX_WAIT_SECONDS))
    return wait * random.uniform(1 - _JITTER, 1 + _JITTER)
