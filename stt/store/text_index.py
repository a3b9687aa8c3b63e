"""Create the text index on transcripts, on servers that have text indexes."""

import logging
import threading
from typing import Literal

import pymongo
from pymongo import IndexModel
from pymongo.errors import OperationFailure, PyMongoError

from stt.store.database import Database

logger = logging.getLogger(__name__)

TEXT_FIELD = "transcript.segments.text"

# Transcripts have a field `language`, which a text index would by default use as the language to
# stem words by, and refuse documents with a language that it does not know. Name another field.
_INDEX = IndexModel(
    [(TEXT_FIELD, "text")],
    name="words",
    default_language="none",
    language_override="language_of_text_index",
)
_TIMEOUT_SECONDS = 1_800.0


class TextIndex:
    """The text index of one database. Safe between threads.

    The first `is_ready` creates it, and returns when that is done, or at once if `in_background`.
    """

    def __init__(self, database: Database, *, in_background: bool = False) -> None:
        self._db = database
        self._in_background = in_background
        self._lock = threading.Lock()
        self._state: Literal["unknown", "creating", "ready", "unsupported"] = "unknown"

    def is_ready(self) -> bool:
        """Return whether searches can use the index; create it if that was not tried before."""
        with self._lock:
            if self._state == "unknown":
                self._state = "creating"
                thread = threading.Thread(target=self._create, name="text index", daemon=True)
                thread.start()
                if not self._in_background:
                    thread.join()
            return self._state == "ready"

    def record_missing(self) -> None:
        """Make `is_ready` return False from now on: the server refused a search with the index."""
        self._state = "unsupported"

    def _create(self) -> None:
        try:
            with pymongo.timeout(_TIMEOUT_SECONDS):
                self._db.chunks.create_indexes([_INDEX])
        except OperationFailure as error:  # this server has none, or not for this user
            logger.debug("no text index: %s", error)
            self._state = "unsupported"
        except PyMongoError as error:
            logger.debug("no text index yet: %s", error)
            self._state = "unknown"
        else:
            self._state = "ready"
