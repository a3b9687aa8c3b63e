"""Connect to the database: collections, indexes, server time, and pymongo's errors as ours."""

import functools
import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

import pymongo
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError
from pymongo import (
    MongoClient,
    ReadPreference,
    ReturnDocument,
    WriteConcern,
    errors,
)
from pymongo.collection import Collection

from stt.errors import ConfigError, DatabaseRefused, DatabaseUnavailable
from stt.store.index_progress import logged_progress
from stt.store.indexes import INDEXES
from stt.store.object_store import IN_DATABASE, AudioPlaces, ObjectStore
from stt.store.shared_places import make_indexes

Document = dict[str, Any]

# Read times as aware datetimes in UTC, so that they cannot be compared with naive ones. Other
# programs may write dates beyond the year 9999, which become DatetimeMS, and text that is no UTF-8.
_AWARE: CodecOptions[Document] = CodecOptions(
    tz_aware=True,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="replace",
)
_DURABLE = WriteConcern(w="majority", j=True)
_NOT_AUTHORIZED = {13, 18}  # Unauthorized, AuthenticationFailed
# BadValue, FailedToParse, TypeMismatch, ImmutableField, DocumentValidationFailure, and too large.
_DOCUMENT_REFUSED = {2, 9, 14, 66, 121, 10334, 17419, 17420}
_TIMEOUTS = {
    "serverSelectionTimeoutMS": 5_000,
    "connectTimeoutMS": 4_000,  # shorter, so that the reason is known when selection times out
    "socketTimeoutMS": 20_000,
}

_CLOSE_SECONDS = 1.0

_URL_ADVICE = (
    "write mongodb://USER:PASSWORD@HOST:PORT/?OPTIONS, with every character of the name and the"
    " password that is no letter or digit as %XX, such as %40 for @"
)


class Database(AbstractContextManager["Database"]):
    """A connection pool to the database. Safe between threads. Close it, or use it in `with`.

    Every write waits until a majority of the replica set has it in its journal.
    """

    def __init__(
        self,
        url: str,
        name: str,
        places: AudioPlaces = IN_DATABASE,
        *,
        has_time_limit: bool = True,
    ) -> None:
        """Prepare to connect; the first operation connects. `places`: where audio is.

        `has_time_limit`: an operation fails that is not answered in time.

        Raise ConfigError for a URL or a database name that cannot be right, and for a file in the
        URL's TLS options that cannot be used.
        """
        self._arguments = url, name, places
        self._client = _client(url, has_time_limit=has_time_limit)
        try:
            # Ignore the URL's read preference: a secondary may lack what we have just written.
            self._db = self._client.get_database(name, _AWARE, ReadPreference.PRIMARY, _DURABLE)
        except errors.InvalidName as error:
            self._client.close()
            raise ConfigError(f"DATABASE_NAME is wrong: {error}") from error
        self.chunks: Collection[Document] = self._db["audio_chunks"]
        self.audio: Collection[Document] = self._db["audio_data"]
        self.audio_stores: Collection[Document] = self._db["audio_stores"]
        self.objects = ObjectStore(places)
        self.recordings: Collection[Document] = self._db["source_files"]
        self.workers: Collection[Document] = self._db["workers"]
        self.nodes: Collection[Document] = self._db["nodes"]
        self.join_codes: Collection[Document] = self._db["join_codes"]
        self.sessions: Collection[Document] = self._db["sessions"]
        self.refusals: Collection[Document] = self._db["refusals"]
        self.uploads: Collection[Document] = self._db["uploads"]
        self.options: Collection[Document] = self._db["options"]
        self.notifications: Collection[Document] = self._db["notifications"]
        self.speakers: Collection[Document] = self._db["recording_speakers"]
        self.destinations: Collection[Document] = self._db["notification_destinations"]

    def ensure_indexes(self) -> None:
        """Create the missing indexes, however long it takes, and drop replaced ones."""
        with translated(), self.without_time_limit() as patient:
            for collection, indexes in INDEXES.items():
                try:
                    with logged_progress(self._db[collection]):
                        make_indexes(patient._db[collection], indexes)
                except errors.DuplicateKeyError as error:
                    raise ConfigError(
                        f"{collection} holds two documents where only one may be, which another"
                        f" program must have written: {_first_line(error)}"
                    ) from error

    def without_time_limit(self) -> "Database":
        """Return a connection pool of its own, whose operations may take as long as they need."""
        return Database(*self._arguments, has_time_limit=False)

    def server_time(self) -> datetime:
        """Return the database server's time, by which claims become stale."""
        with translated():
            hello = self._db.command("hello", codec_options=_AWARE)
        time: datetime = hello["localTime"]
        return time

    @functools.cached_property
    def is_secantus(self) -> bool:
        """Whether the server is SecantusDB, the embedded database; asked once."""
        return "secantusVersion" in self._build_info

    @functools.cached_property
    def counts_by_index(self) -> bool:
        """Whether it is SecantusDB as `stt` runs it: fast counts, but slow aggregations."""
        return str(self._build_info.get("secantusVersion")).endswith("+indexed")

    @functools.cached_property
    def _build_info(self) -> Document:
        return self._db.command("buildInfo")

    def count_chunks(self, query: Document) -> int:
        """Count the chunks that match.

        SecantusDB reads them for an aggregation, but counts with an index alone if it can.
        """
        if not self.is_secantus:
            return self.chunks.count_documents(query)
        return int(self._db.command("count", self.chunks.name, query=query)["n"])

    def change_chunk(
        self, query: Document, update: Document, fields: Sequence[str]
    ) -> Document | None:
        """Change the chunk that matches, and return these fields of it as they are afterwards.

        `query` names its `_id`. Return None if it does not match. `find_one_and_update` of
        SecantusDB reads the whole collection, so there it is changed and then read, and None comes
        back as well if another has changed meanwhile what `update` sets.
        """
        if not self.is_secantus:
            return self.chunks.find_one_and_update(
                query, update, list(fields), return_document=ReturnDocument.AFTER
            )
        if self.chunks.update_one(query, update).matched_count == 0:
            return None
        return self.chunks.find_one({"_id": query["_id"], **update["$set"]}, list(fields))

    def close(self) -> None:
        """Close the connections, in at most a second if the server does not answer."""
        with pymongo.timeout(_CLOSE_SECONDS):
            self._client.close()

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def translated() -> Iterator[None]:
    """Raise ConfigError, DatabaseUnavailable or DatabaseRefused in place of pymongo's errors.

    After DatabaseUnavailable a write may have been done: the connection broke after it was sent,
    or a majority did not acknowledge it in time. DatabaseRefused is about the document. Let
    DuplicateKeyError pass.
    """
    try:
        yield
    except errors.DuplicateKeyError:
        raise
    except errors.OperationFailure as error:
        if error.code in _NOT_AUTHORIZED:
            raise ConfigError(
                "The database refuses this user: check the name and the password in MONGO_URL."
            ) from error
        if error.code in _DOCUMENT_REFUSED:
            raise DatabaseRefused(f"The database refuses it: {_first_line(error)}") from error
        raise DatabaseUnavailable(f"The database could not do it: {_first_line(error)}") from error
    except errors.ConnectionFailure as error:
        reason = _first_line(error)
        raise DatabaseUnavailable(
            f"The database does not answer (MONGO_URL): {reason}{_tls_advice(reason)}"
        ) from error
    except (errors.DocumentTooLarge, BSONError, UnicodeEncodeError, OverflowError) as error:
        raise DatabaseRefused(f"It cannot be stored: {_first_line(error)}") from error
    except errors.PyMongoError as error:
        raise DatabaseUnavailable(f"The database failed: {_first_line(error)}") from error


class Repository:
    """A part of the database. Every method of a subclass raises DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def __init_subclass__(cls) -> None:
        """Translate pymongo's errors in every method, as `translated` does."""
        for name, method in list(vars(cls).items()):
            if inspect.isgeneratorfunction(method):
                setattr(cls, name, _translated_generator(method))
            elif inspect.isfunction(method):
                setattr(cls, name, translated()(method))


def _translated_generator(method: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    @functools.wraps(method)
    def generate(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with translated():
            yield from method(*args, **kwargs)

    return generate


def _first_line(error: Exception) -> str:
    text = re.split(r", full error:|, Timeout:| \(configured timeouts:", str(error))[0]
    return text.splitlines()[0] if text else type(error).__name__


def _tls_advice(reason: str) -> str:
    """Return advice about MONGO_URL if the reason may be TLS, else an empty text."""
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return ". Its tlsCAFile must name the authority that signed the server's certificate"
    if "SSL handshake failed" in reason or "[SSL" in reason:
        return ". If this server speaks no TLS, take tls=true out of it"
    if "reset by peer" in reason or "connection closed" in reason:
        return ". If this server speaks TLS only, add tls=true to it"
    return ""


def _client(url: str, *, has_time_limit: bool) -> MongoClient[Document]:
    """Raise ConfigError, without any part of the URL: it may contain a password."""
    scheme, _, rest = url.partition("://")
    if scheme not in ("mongodb", "mongodb+srv"):  # the driver would read it as a host name
        raise ConfigError("MONGO_URL is wrong: it must begin with mongodb:// or mongodb+srv://")
    if "@" in rest.partition("?")[0].partition("/")[2]:  # and here what is before the slash
        raise ConfigError(f"MONGO_URL is wrong: {_URL_ADVICE}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # the driver only warns of a wrong option
            unlimited = {} if has_time_limit else {"socketTimeoutMS": 0}
            return MongoClient(url, **{**_unset_in(url), **unlimited})
    except OSError as error:  # ssl.SSLError is one
        where = f"{error.filename}: " if error.filename else ""
        raise ConfigError(
            "MONGO_URL: a file that its tls options name cannot be used:"
            f" {where}{error.strerror or error}"
        ) from None
    except (errors.InvalidURI, errors.ConfigurationError, ValueError, UserWarning) as error:
        reason = _first_line(error)
        if "quote_plus" in reason or _repeats(reason, rest):  # advice about Python
            reason = _URL_ADVICE
        # From None: a traceback would show the driver's message.
        raise ConfigError(f"MONGO_URL is wrong: {reason}") from None


def _repeats(text: str, rest_of_url: str) -> bool:
    """Return whether the text contains a word of the URL that may be part of a password."""
    credentials, _, others = rest_of_url.rpartition("@")
    options = others.partition("?")[2]
    values = re.findall(r"(?<!file)=([^&;]*)", options, re.IGNORECASE)
    secret = " ".join([credentials or others.partition("?")[0], *values])
    words = _words(secret) | _words(unquote_plus(secret))
    return not (words - {"true", "false"}).isdisjoint(_words(text))


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]{2,}", text.casefold()))


def _unset_in(url: str) -> dict[str, Any]:
    """Return our time-outs without those that the URL sets."""
    lowered = url.lower()
    return {name: ms for name, ms in _TIMEOUTS.items() if f"{name.lower()}=" not in lowered}
