"""Log how far the server is with building an index."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pymongo
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

_FIRST_LOG_SECONDS = 2.0
_LOG_SECONDS = 10.0
_QUESTION_SECONDS = 2.0

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def logged_progress(collection: Collection[Any]) -> Iterator[None]:
    """Log every ten seconds how far the indexes of a collection are, if the block takes long.

    As warnings, which commands without a log show too.
    """
    is_over = threading.Event()
    began = time.monotonic()

    def log() -> None:
        wait = _FIRST_LOG_SECONDS
        while not is_over.wait(wait):
            wait = _LOG_SECONDS
            logger.warning(
                "Building the indexes of %s: %s, %.0f s so far. Ctrl-C ends the wait",
                collection.name,
                _progress(collection),
                time.monotonic() - began,
            )

    threading.Thread(target=log, name="index progress", daemon=True).start()
    try:
        yield
    finally:
        is_over.set()


def _progress(collection: Collection[Any]) -> str:
    """Return what the server says: `34 % of 1,000,000 documents`, or less."""
    with contextlib.suppress(PyMongoError), pymongo.timeout(_QUESTION_SECONDS):
        size = f"{collection.estimated_document_count():,} documents"
        with contextlib.suppress(PyMongoError):  # not allowed, or not known to the server
            name = f"{collection.database.name}.{collection.name}"
            building = {"ns": name, "progress.total": {"$gt": 0}, "msg": {"$regex": "^Index Build"}}
            admin = collection.database.client.admin
            for operation in admin.aggregate([{"$currentOp": {}}, {"$match": building}]):
                progress = operation["progress"]
                return f"{100 * progress['done'] // progress['total']} % of {size}"
        return size
    return "not done yet"
