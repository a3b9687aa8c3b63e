"""Create the text index on transcripts, on servers that have text indexes, and ask it.

The index has words as they stand between spaces and punctuation. In some languages our words are
others: chunks in these are scanned, by an index on their language.
"""

import logging
import re
import threading
from typing import Literal

import pymongo
from pymongo import IndexModel
from pymongo.errors import OperationFailure, PyMongoError

from stt.store.database import Database, Document
from stt.store.search_query import SearchQuery
from stt.transcripts.languages import LANGUAGES

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
# Without spaces between words; with endings behind names in Latin letters; with a dotless i.
_DIVIDED_OTHERWISE = (
    "zh", "yue", "ja", "th", "lo", "km", "my", "bo", "ko", "ka", "mn", "ta", "te", "kn", "ml", "tr",
    "az",
)  # fmt: skip
_SCANNED = [*_DIVIDED_OTHERWISE, *(LANGUAGES[code] for code in _DIVIDED_OTHERWISE)]
_LANGUAGE = "transcript.language"
_LANGUAGE_INDEX = IndexModel([(_LANGUAGE, 1), ("original_id", 1), ("index", 1)], name="language")
_TIMEOUT_SECONDS = 1_800.0

_SPELLED_SEVERAL_WAYS = re.compile("'|ss")
_APOSTROPHES_IN_WORDS = "ʼ´"  # those at which the index does not divide words


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
                self._db.chunks.create_indexes([_INDEX, _LANGUAGE_INDEX])
        except OperationFailure as error:  # this server has none, or not for this user
            logger.debug("no text index: %s", error)
            self._state = "unsupported"
        except PyMongoError as error:
            logger.debug("no text index yet: %s", error)
            self._state = "unknown"
        else:
            self._state = "ready"


def indexed_queries(words: SearchQuery, scan: Document) -> list[Document]:
    """Return queries of which each chunk that contains every word matches one.

    Use the index, and `scan` for chunks in languages that it divides otherwise.
    """
    return [
        {**_text_query(words), _LANGUAGE: {"$nin": _SCANNED}},
        {**scan, _LANGUAGE: {"$in": _SCANNED}},
    ]


def _text_query(words: SearchQuery) -> Document:
    """Return a query of the index.

    In quotes is what a text must contain, without any of it what the index may have as a word: it
    divides words at some apostrophes, and knows nothing of ß and ss. It ignores accents, so that
    composed and decomposed letters are equal.
    """
    required: list[str] = []
    spellings: list[str] = []
    for word in words.query_words:
        longest = max(_SPELLED_SEVERAL_WAYS.split(word.text), key=len)
        if longest and longest in word.typed.lower():
            required.append(f'"{longest}"')
        if longest != word.text or word.text != word.typed.lower():
            others = [word.text.replace("'", sign) for sign in _APOSTROPHES_IN_WORDS]
            spellings += [word.text, word.typed, word.text.replace("ss", "ß"), *others]
    wanted = " ".join(dict.fromkeys([*required, *spellings]))
    return {"$text": {"$search": wanted, "$diacriticSensitive": False}}
