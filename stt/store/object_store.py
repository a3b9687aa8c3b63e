"""Objects in S3, or in a server that speaks its API, by way of boto3.

Address, region and credentials are found as the AWS tools find them: in the environment
(AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID, AWS_PROFILE …), in ~/.aws, or from the machine's role.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from typing import Any

from stt.errors import AudioNotAllowed, AudioStoreRefused, AudioStoreUnavailable, BadAudio
from stt.settings import Settings
from stt.system.s3_url import S3Url

MAX_OBJECT_BYTES = 64 * 1024 * 1024
"""Ten minutes, the longest chunk, take 58 MB as plain samples (48 kHz, 16 bit, one channel)."""

_CONNECT_SECONDS = 5.0
_READ_SECONDS = 20.0
_MAX_TRIES = 3
_MAX_CONNECTIONS = 64
_MAX_READS = 1_000
_MAX_WAIT_SECONDS = 2.0
_WRITES_AT_ONCE = 4
_DELETE_BATCH = 1_000  # the most that S3 takes
_MISSING = ("NoSuchKey", "404")
_THROTTLED = ("SlowDown", "RequestLimitExceeded", "TooManyRequests", "429")


@dataclass(frozen=True, slots=True)
class AudioPlaces:
    """Where new audio is stored (None: in the database), and from where else it may be read."""

    store: S3Url | None = None
    sources: tuple[S3Url, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> "AudioPlaces":
        store = settings.audio_store
        sources = tuple(S3Url.parse(source) for source in settings.audio_sources)
        return cls(None if store is None else S3Url.parse(store), sources)

    def allow(self, url: S3Url) -> bool:
        return any(place.holds(url) for place in (self.store, *self.sources) if place)


IN_DATABASE = AudioPlaces()
"""No audio is stored in S3, or read from there."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in a listing; `modified_at` is a time of the store's clock."""

    url: S3Url
    bytes: int
    modified_at: datetime


class ObjectStore:
    """Reads and writes objects. Safe between threads; connects at the first use.

    Every method raises AudioStoreUnavailable if S3 does not answer, and AudioStoreRefused if
    boto3 is not installed, the bucket does not exist, or the credentials do not allow it.
    """

    def __init__(self, places: AudioPlaces) -> None:
        self.places = places
        self._made: Any = None
        self._lock = threading.Lock()
        self._last_read: dict[str, S3Url] = {}  # by bucket
        self._reads = threading.BoundedSemaphore(_MAX_READS)

    def limit_reads(self, count: int) -> None:
        """Read so many objects at once at most; others wait a little, and then count as failed."""
        self._reads = threading.BoundedSemaphore(count)

    def put(self, objects: Sequence[tuple[S3Url, bytes]]) -> None:
        """Write these objects, over any that are there."""

        def write(item: tuple[S3Url, bytes]) -> None:
            url, data = item
            with _translated(url):
                client.put_object(Bucket=url.bucket, Key=url.key, Body=data)

        client = self._client()
        with ThreadPoolExecutor(_WRITES_AT_ONCE) as pool:
            list(pool.map(write, objects))

    def get(self, text: str) -> bytes:
        """Read the object of a chunk's `audio_url`.

        Raise BadAudio if it is missing, no `s3://` URL, or if S3 fails on it and not on others;
        AudioNotAllowed if no setting allows it.
        """
        try:
            url = S3Url.parse(text)
        except ValueError as error:
            raise BadAudio(f"the chunk's audio_url cannot be used: {error}") from error
        if not self.places.allow(url):
            raise AudioNotAllowed(
                f"the audio is at {url}, which neither STT_AUDIO_STORE nor STT_AUDIO_SOURCES names"
            )
        client, reads = self._client(), self._reads
        if not reads.acquire(timeout=_MAX_WAIT_SECONDS):
            raise AudioStoreUnavailable(f"{url} is not read: S3 is slow, and others wait for it")
        try:
            return self._read(client, url)
        finally:
            reads.release()

    def _read(self, client: Any, url: S3Url) -> bytes:
        """Read an object. Raise BadAudio for one that S3 fails on again just after another."""
        try:
            return self._fetch(client, url)
        except AudioStoreUnavailable as error:
            if not (_may_be_of_one_object(error) and self._reads_another(client, url)):
                raise
        try:
            return self._fetch(client, url)
        except AudioStoreUnavailable as error:
            raise BadAudio(f"{error}, and reads other objects") from error

    def _reads_another(self, client: Any, url: S3Url) -> bool:
        """Return whether S3 reads another object of the bucket now: the last one, or one beside."""
        with suppress(AudioStoreUnavailable, AudioStoreRefused, BadAudio):
            other = self._last_read.get(url.bucket)
            if other in (None, url):
                prefix = url.key[: url.key.rfind("/") + 1]
                request = {"Bucket": url.bucket, "Prefix": prefix, "MaxKeys": 2}
                with _translated(url):
                    found = client.list_objects_v2(**request).get("Contents", ())
                beside = (S3Url(url.bucket, entry["Key"]) for entry in found)
                other = next((one for one in beside if one != url), None)
            if other is not None:
                self._fetch(client, other)
                return True
        return False

    def _fetch(self, client: Any, url: S3Url) -> bytes:
        with _translated(url):
            answer = client.get_object(Bucket=url.bucket, Key=url.key)
            with closing(answer["Body"]) as body:
                if answer["ContentLength"] > MAX_OBJECT_BYTES:
                    raise BadAudio(f"{url} is too large for a chunk: {answer['ContentLength']} B")
                data: bytes = body.read()
        self._last_read[url.bucket] = url
        return data

    def find(self, folder: S3Url) -> Iterator[StoredObject]:
        """Yield all objects below a folder."""
        client = self._client()
        request = {"Bucket": folder.bucket, "Prefix": f"{folder.key}/" if folder.key else ""}
        with _translated(folder):
            for page in client.get_paginator("list_objects_v2").paginate(**request):
                for found in page.get("Contents", ()):
                    url = S3Url(folder.bucket, found["Key"])
                    yield StoredObject(url, found["Size"], found["LastModified"])

    def delete(self, urls: Sequence[S3Url]) -> None:
        """Delete these objects of one bucket; one that is gone is no error."""
        if not urls:  # boto3, which an installation without S3 lacks, is not needed
            return
        client = self._client()
        for at in range(0, len(urls), _DELETE_BATCH):
            batch = urls[at : at + _DELETE_BATCH]
            keys = {"Objects": [{"Key": url.key} for url in batch], "Quiet": True}
            with _translated(batch[0]):
                answer = client.delete_objects(Bucket=batch[0].bucket, Delete=keys)
            if failed := answer.get("Errors"):
                raise AudioStoreRefused(
                    f"S3 does not delete {batch[0].bucket}/{failed[0].get('Key')}:"
                    f" {failed[0].get('Code')}"
                )

    def check_installed(self) -> None:
        """Raise AudioStoreRefused if audio is to be stored in S3 and boto3 is not installed."""
        if self.places.store is not None and find_spec("boto3") is None:
            raise AudioStoreRefused(_not_installed(self.places.store))

    def _client(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = _new_client()
            return self._made


def _new_client() -> Any:
    try:
        import boto3  # slow to import, and an extra
        from botocore.config import Config
    except ImportError as error:
        raise AudioStoreRefused(_not_installed("S3")) from error
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _MAX_TRIES},
        max_pool_connections=_MAX_CONNECTIONS,
    )
    with _translated("S3"):
        return boto3.session.Session().client("s3", config=config)


def _not_installed(place: object) -> str:
    return f"Audio in {place} needs boto3: pip install 'stt-fleet[s3]'"


@contextmanager
def _translated(place: object) -> Iterator[None]:
    """Raise our errors in place of those of boto3 about `place`."""
    from botocore import exceptions as aws

    try:
        yield
    except aws.ClientError as error:
        raise _of_answer(place, error.response) from error
    except (
        aws.NoCredentialsError, aws.PartialCredentialsError, aws.ProfileNotFound,
        aws.ConfigParseError, aws.InvalidConfigError, aws.UnauthorizedSSOTokenError,
        aws.ParamValidationError, aws.NoRegionError, aws.InvalidRegionError, ValueError,
    ) as error:  # fmt: skip
        raise AudioStoreRefused(
            f"{place} cannot be used as S3 is set up (AWS_…): {_first_line(error)}"
        ) from error
    except (aws.BotoCoreError, OSError) as error:
        raise AudioStoreUnavailable(f"{place} does not answer: {_first_line(error)}") from error


def _may_be_of_one_object(error: AudioStoreUnavailable) -> bool:
    """Return whether S3 has answered, if only in part, and has not asked for fewer requests."""
    from botocore import exceptions as aws

    cause = error.__cause__
    if isinstance(cause, aws.ClientError):
        return cause.response.get("Error", {}).get("Code") not in _THROTTLED
    return isinstance(cause, (aws.ResponseStreamingError, aws.IncompleteReadError))


def _of_answer(place: object, answer: Any) -> BadAudio | AudioStoreRefused | AudioStoreUnavailable:
    """Return the error that an answer of S3 other than success means."""
    code = str(answer.get("Error", {}).get("Code", "unknown"))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
    if code in _MISSING:
        return BadAudio(f"there is no object {place}")
    if code == "NoSuchBucket":
        return AudioStoreRefused(f"{place}: there is no such bucket; make it, or name another")
    if status >= 500 or status == 429:
        return AudioStoreUnavailable(f"{place}: S3 answers {status} ({code})")
    reason = "check the credentials and their rights" if status in (401, 403) else "check AWS_…"
    return AudioStoreRefused(f"S3 refuses {place}: {code} ({status}); {reason}")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
