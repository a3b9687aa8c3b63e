"""Read the chunks of all recordings a few recordings at a time.

An embedded database answers no other query while it reads, so that one query over all chunks would
stop every claim for seconds.
"""

import time
from collections.abc import Iterator

from bson import ObjectId

from stt.store.database import Database, Document

_WINDOW_SECONDS = 0.05
_MAX_WINDOW = 1_000
_LAST_ID = ObjectId(b"\xff" * 12)


def recording_windows(database: Database) -> Iterator[Document]:
    """Yield queries for the chunks of some recordings, so that each takes about _WINDOW_SECONDS.

    The caller's time between two of them counts as that of the query. Together they match every
    chunk whose recording's id is an ObjectId.
    """
    with database.recordings.find({}, ["_id"]) as cursor:
        ids = sorted(d["_id"] for d in cursor if isinstance(d["_id"], ObjectId))
    low, begin, count = ObjectId(bytes(12)), 0, 1
    while begin < len(ids):
        high = ids[min(begin + count, len(ids)) - 1]
        began_at = time.monotonic()
        yield {"original_id": {"$gt": low, "$lte": high}}
        seconds = max(time.monotonic() - began_at, 0.001)
        low, begin = high, begin + count
        count = max(1, min(int(count * _WINDOW_SECONDS / seconds), 2 * count, _MAX_WINDOW))
    yield {"original_id": {"$gt": low, "$lte": _LAST_ID}}
