"""The speakers of a recording, joined from those that each call of a whisper server found.

The transcripts of chunks hold what was found (`LocalSpeaker`); `recording_speakers` holds what was
made of it, one document for each recording, with the names that people gave. It is made by who
writes the last transcript, and made anew by who reads it where the chunks have changed since: so it
does not matter whether one of them dies in it, or two do it at once. Every write is a
compare-and-set on `version`.

Every function but `join_if_whole` raises DatabaseUnavailable.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from pymongo.errors import DuplicateKeyError

from stt.domain.chunk import Recording
from stt.domain.speakers import RecordingSpeakers, Speaker, name_key
from stt.domain.transcript import LocalSpeaker
from stt.errors import DatabaseUnavailable, NotFound
from stt.store.database import Database, Document, translated
from stt.store.documents import (
    read_count,
    read_mapping,
    read_mappings,
    read_number,
    read_recording,
    read_speakers,
    read_text,
)
from stt.store.states import UNFINISHED
from stt.transcripts.speakers import (
    SAME_VOICE_SIMILARITY,
    Voice,
    join_voices,
    mean_voice,
    read_embedding,
    write_embedding,
)

_ID = "SPEAKER_{:02d}"


def read(database: Database, recording: Recording) -> RecordingSpeakers:
    """Return the speakers of a recording's text as it is now."""
    if recording.speakers is None:
        return RecordingSpeakers()

    def joined(stored: Document) -> Document | None:
        # Read after `stored` was: else a later join would be replaced by an earlier one.
        found = _local_speakers(database, recording.id)
        source = {"options": _options(recording), "found": _fingerprint(found)}
        if stored.get("source") == source:
            return None
        known = read_document(stored)
        made = _join(found, known.speakers, recording)
        return {"source": source, **_written(made)}

    return read_document(_change(database, recording.id, joined))


def join_if_whole(database: Database, recording_id: Any) -> None:
    """Join the speakers of a recording if all of its chunks have ended.

    Do nothing while the database is away: who reads the speakers joins them then.
    """
    with suppress(DatabaseUnavailable), translated():
        if database.chunks.find_one({"original_id": recording_id, **UNFINISHED}, ["_id"]) is None:
            document = database.recordings.find_one({"_id": recording_id})
            if document is not None:
                read(database, read_recording(document))


def is_current(database: Database, recording: Recording, version: int) -> bool:
    """Return whether this is the version that is stored, joined as is asked for now.

    It is quicker than to read them, and does not see chunks that have changed since.
    """
    if recording.speakers is None:
        return False
    with translated():
        stored = database.speakers.find_one({"_id": recording.id}, ["version", "source.options"])
    return (
        stored is not None
        and read_count(stored.get("version")) == version
        and read_mapping(stored.get("source")).get("options") == _options(recording)
    )


def rename(
    database: Database,
    recording: Recording,
    speaker: str,
    name: str | None,
    *,
    before: str | None = None,
) -> RecordingSpeakers:
    """Do what `RecordingSpeakers.renamed` says, and raise what it raises.

    Raise NotFound too where speakers are not asked for (any more).
    """
    return _update(database, recording, lambda known: known.renamed(speaker, name, before))


def merge(
    database: Database,
    recording: Recording,
    speaker: str,
    into: str,
    *,
    before: str | None = None,
    into_before: str | None = None,
) -> RecordingSpeakers:
    """Do what `RecordingSpeakers.merged` says, and raise what it raises.

    Raise NotFound too where speakers are not asked for (any more).
    """
    return _update(
        database, recording, lambda known: known.merged(speaker, into, before, into_before)
    )


def _update(
    database: Database,
    recording: Recording,
    update: Callable[[RecordingSpeakers], RecordingSpeakers],
) -> RecordingSpeakers:
    def changed(stored: Document) -> Document | None:
        known = read_document(stored)
        new = update(known)
        return None if new is known else {"source": stored.get("source"), **_written(new)}

    if recording.speakers is None:
        raise NotFound("Speakers are not asked for in this recording: there are none to change.")
    read(database, recording)
    return read_document(_change(database, recording.id, changed))


def _change(
    database: Database, recording_id: Any, change: Callable[[Document], Document | None]
) -> Document:
    """Return the document after the change, made on what is stored; None changes nothing."""
    while True:
        with translated():
            stored = database.speakers.find_one({"_id": recording_id})
            fields = change(stored or {})
            if fields is None:
                return stored or {}
            version = read_count((stored or {}).get("version"))
            written = {"_id": recording_id, **fields, "version": version + 1}
            try:
                if stored is None:
                    _insert(database, written)
                    return written
                as_read = {"_id": recording_id, "version": stored.get("version")}
                if database.speakers.replace_one(as_read, written).matched_count:
                    return written
            except DuplicateKeyError:
                continue  # another one was first


def _insert(database: Database, document: Document) -> None:
    """Insert the speakers of a recording, and delete them if it has been removed.

    A removal deletes the recording before it deletes its speakers for the last time: what is
    inserted earlier it deletes, and who inserts them later finds no recording here.
    """
    of_recording = {"_id": document["_id"]}
    database.speakers.insert_one(document)
    if database.recordings.find_one(of_recording, ["_id"]) is None:
        database.speakers.delete_one(of_recording)


def _local_speakers(database: Database, recording_id: Any) -> list[tuple[Any, LocalSpeaker]]:
    """Return the speakers of each chunk with text, in the chunks' order."""
    with translated():
        found = database.chunks.find(
            {"original_id": recording_id}, ["index", "transcript.speakers"]
        )
        documents = sorted(found, key=lambda document: read_count(document.get("index")))
    return [
        (document["_id"], speaker)
        for document in documents
        for speaker in read_speakers(read_mapping(document.get("transcript"))) or ()
    ]


def _options(recording: Recording) -> list[int | None]:
    return [recording.speakers, recording.max_speakers]


def _fingerprint(found: Iterable[tuple[Any, LocalSpeaker]]) -> str:
    """Return what is another text when others were found."""
    parts = [(str(id_), one.id, one.seconds) for id_, one in found]
    return hashlib.sha256(repr(parts).encode(errors="replace")).hexdigest()[:32]


def _join(
    found: Iterable[tuple[Any, LocalSpeaker]], known: Sequence[Speaker], recording: Recording
) -> RecordingSpeakers:
    """Join local speakers; those with the voice of a known speaker are that one."""
    locals_ = _voices(one for _, one in found)
    joined = join_voices(list(locals_.values()), recording.speakers or None, recording.max_speakers)
    numbers = dict(zip(locals_, joined, strict=True))
    members: dict[int, list[Voice]] = {}
    for id_, number in numbers.items():
        if number is not None:
            members.setdefault(number, []).append(locals_[id_])
    voices = [mean_voice(members[number]) for number in sorted(members)]
    ids = _matched(voices, known)
    targets = {one.into for one in known}
    speakers = {
        one.id: replace(one, seconds=0.0)
        for one in known
        if one.name or one.into or one.id in targets
    }
    for id_, voice in zip(ids, voices, strict=True):
        earlier_one = speakers.get(id_) or Speaker(id_, 0.0, "")
        seconds = round(voice.seconds, 3)
        speakers[id_] = replace(
            earlier_one, seconds=seconds, embedding=write_embedding(voice.embedding)
        )
    of_local = {id_: ids[number] for id_, number in numbers.items() if number is not None}
    return RecordingSpeakers(tuple(speakers[id_] for id_ in sorted(speakers)), of_local)


def _voices(found: Iterable[LocalSpeaker]) -> dict[str, Voice]:
    """Return the voices of local speakers by id; of several sizes those with the most speech.

    Embeddings of different sizes are of different models, and cannot be compared.
    """
    voices: dict[str, Voice] = {}
    for one in found:
        embedding = read_embedding(one.embedding)
        if embedding is not None:
            earlier = voices[one.id].seconds if one.id in voices else 0.0
            voices[one.id] = Voice(embedding, earlier + one.seconds)
    seconds: defaultdict[int, float] = defaultdict(float)
    for voice in voices.values():
        seconds[voice.embedding.size] += voice.seconds
    size = max(seconds, key=seconds.__getitem__, default=0)
    return {id_: voice for id_, voice in voices.items() if voice.embedding.size == size}


def _matched(voices: Sequence[Voice], known: Sequence[Speaker]) -> list[str]:
    """Return an id for each voice: that of the known speaker most like it, else a new one."""
    similarities = sorted(
        (
            (float(voice.embedding @ embedding), number, one.id)
            for number, voice in enumerate(voices)
            for one in known
            if (embedding := read_embedding(one.embedding)) is not None
            and embedding.shape == voice.embedding.shape
        ),
        reverse=True,
    )
    ids: dict[int, str] = {}
    for similarity, number, id_ in similarities:
        if similarity >= SAME_VOICE_SIMILARITY and number not in ids and id_ not in ids.values():
            ids[number] = id_
    taken = {one.id for one in known} | {one.into for one in known}
    free = (id_ for n in range(1, 10**6) if (id_ := _ID.format(n)) not in taken)
    return [ids[number] if number in ids else next(free) for number in range(len(voices))]


def _written(speakers: RecordingSpeakers) -> Document:
    return {
        "speakers": [asdict(one) for one in speakers.speakers],
        "of_local": dict(speakers.of_local),
        "names": sorted({name_key(one.name) for one in speakers.speakers if one.name}),
    }


def read_document(document: Document) -> RecordingSpeakers:
    """Return what a document holds; what is missing or of another type is left out."""
    speakers = tuple(
        Speaker(
            id=one["id"],
            seconds=read_number(one.get("seconds")) or 0.0,
            embedding=read_text(one.get("embedding")) or "",
            name=read_text(one.get("name")),
            into=read_text(one.get("into")),
        )
        for one in read_mappings(document.get("speakers"))
        if isinstance(one.get("id"), str)
    )
    version = read_count(document.get("version"))
    return RecordingSpeakers(speakers, read_mapping(document.get("of_local")), version)
