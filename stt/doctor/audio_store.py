"""Check where audio is stored in S3: whether it can be reached, and what its credentials allow."""

from collections.abc import Callable, Iterator
from contextlib import suppress

from bson import ObjectId

from stt.doctor.checks import Finding
from stt.errors import AudioStoreRefused, BadAudio, ConfigError, SttError
from stt.settings import Settings
from stt.store.object_store import AudioPlaces, ObjectStore
from stt.system.s3_url import S3Url

CHECK = "audio store"
_CONTENT = b"stt doctor"


def audio_store_findings(settings: Settings) -> Iterator[Finding]:
    """Write, read, list and delete a small object in STT_AUDIO_STORE; look into the other places.

    Yield nothing if no place is set. Raise AudioStoreUnavailable, AudioStoreRefused.
    """
    try:
        places = AudioPlaces.of(settings)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    objects = ObjectStore(places)
    if places.store is not None:
        objects.check_installed()
        yield from _store_findings(objects, places.store)
    for source in places.sources:
        yield _source_finding(objects, source)


def _store_findings(objects: ObjectStore, store: S3Url) -> Iterator[Finding]:
    probe = store / f"stt-doctor-{ObjectId()}"
    if problem := _problem("s3:PutObject", lambda: objects.put([(probe, _CONTENT)])):
        yield problem
        return
    steps: list[tuple[str, Callable[[], object]]] = [
        ("s3:GetObject", lambda: objects.get(str(probe))),
        ("s3:ListBucket", lambda: list(objects.find(probe))),
    ]
    try:
        problems = [_problem(right, step) for right, step in steps]
    finally:  # without the object that was written, whatever happened to the others
        undeleted = _problem("s3:DeleteObject", lambda: objects.delete([probe]))
    found = [problem for problem in (*problems, undeleted) if problem]
    yield from found
    if not found:
        yield Finding(CHECK, "ok", f"a small object was written to {store}, read and deleted")


def _source_finding(objects: ObjectStore, source: S3Url) -> Finding:
    """Ask for an object that is not there: with the right to list, S3 says so."""

    def read() -> None:
        with suppress(BadAudio):
            objects.get(str(source / f"stt-doctor-{ObjectId()}"))

    problem = _problem("s3:GetObject and s3:ListBucket", read)
    return problem or Finding(CHECK, "ok", f"{source} can be read")


def _problem(right: str, step: Callable[[], object]) -> Finding | None:
    """Take a step; return what is wrong if S3 refuses it, or lost what was just written."""
    try:
        step()
    except AudioStoreRefused as error:
        advice = f"The credentials (AWS_…) need the right {right} on it."
        is_right = "(403)" in str(error) or "AccessDenied" in str(error)
        return Finding.problem(CHECK, str(error), advice if is_right else "", ConfigError)
    except BadAudio as error:
        return Finding.problem(CHECK, f"{error}, which was just written", "Is it S3?", SttError)
    return None
