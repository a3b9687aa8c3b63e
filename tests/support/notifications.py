"""Notifications as a process has claimed them."""

import json
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from stt.domain.notification import Notification


def notification(name: str = "talk.mp3", **recording: Any) -> Notification:
    about = {"id": "6903ce2e3006e94c81d59b3f", "name": name, "duration_seconds": 60.0, "url": None}
    data = {
        "recording": about | recording,
        "chunks": {"transcribed": 2, "failed": 0},
        "failures": [],
    }
    event = {"type": "recording.done", "timestamp": "2026-11-27T06:00:00+00:00", "data": data}
    return Notification(
        id="webhook:1:evt_1",
        event_id="evt_1",
        type="recording.done",
        body=json.dumps(event),
        attempts=1,
        created_at=datetime(2026, 11, 27, tzinfo=UTC),
        claim_id=ObjectId(),
    )
