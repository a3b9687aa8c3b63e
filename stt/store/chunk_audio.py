"""The encoded audio of chunks: in the database, in S3, or inline in a chunk of another program.

A chunk's document says by `audio_url` that its audio is in S3, so each is found wherever it is,
whatever is set now. In S3 each database has a folder of its own below STT_AUDIO_STORE: of several
that share a bucket none takes another's audio for its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from bson import Binary, ObjectId
from pymongo import ReplaceOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DuplicateKeyError

from stt.errors import BadAudio
from stt.store.database import Document, Repository, translated
from stt.store.documents import read_text, read_time
from stt.store.object_store import StoredObject
from stt.system.s3_url import S3Url

_BATCH = 200
_DUPLICATE_KEY = 11_000


class ChunkAudio(Repository):
    """Stores, reads and removes audio.

    Every method also raises AudioStoreUnavailable and AudioStoreRefused where audio is in S3.
    """

    def write(self, recording_id: ObjectId, audio: Mapping[ObjectId, bytes]) -> dict[ObjectId, str]:
        """Store audio by chunk, over what is there; return each chunk's `audio_url`, if in S3."""
        store = self._db.objects.places.store
        if store is None:
            # An earlier run may have cut the audio elsewhere and stored it without its chunk.
            self._write_documents(audio)
            return {}
        folder = self._folder(store) / str(recording_id)
        urls = {chunk_id: folder / f"{chunk_id}.opus" for chunk_id in audio}
        self._db.objects.put([(urls[chunk_id], data) for chunk_id, data in audio.items()])
        return {chunk_id: str(url) for chunk_id, url in urls.items()}

    def read(self, chunk_id: ObjectId) -> bytes:
        """Return the audio of a chunk. Raise BadAudio if there is none, AudioNotAllowed."""
        stored = self._db.audio.find_one({"_id": chunk_id}, ["data"])
        if stored is None:
            fields = ["data", "audio_url", "audio_removed_at"]
            stored = self._db.chunks.find_one({"_id": chunk_id}, fields) or {}
        data, url = stored.get("data"), read_text(stored.get("audio_url"))
        removed_at = read_time(stored.get("audio_removed_at"))
        if removed_at is not None:
            raise BadAudio(removal_note(removed_at))
        if not data and url:
            data = self._db.objects.get(url)
        if not isinstance(data, bytes) or not data:
            raise BadAudio("the chunk has no audio in audio_data, nor inline in data")
        return data

    def remove(self, chunk_ids: Sequence[ObjectId]) -> None:
        """Remove the audio of these chunks that is in the database."""
        for at in range(0, len(chunk_ids), _BATCH):
            self._db.audio.delete_many({"_id": {"$in": list(chunk_ids[at : at + _BATCH])}})

    def objects_of(self, recording_id: ObjectId) -> list[S3Url]:
        """Return all objects that were stored for a recording, in any store that was ever set."""
        return [
            found.url
            for folder in self.folders()
            for found in self._db.objects.find(folder / str(recording_id))
        ]

    def folders(self) -> list[S3Url]:
        """Return this database's own folder in each store that was ever set."""
        found = []
        for document in self._db.audio_stores.find():
            with suppress(ValueError, TypeError, KeyError):
                found.append(S3Url.parse(document["_id"]) / str(ObjectId(document["folder"])))
        return found

    def orphans(self, older_than: datetime) -> Iterator[StoredObject]:
        """Yield objects last written before that, of recordings that the database lacks."""
        for folder in self.folders():
            recording, is_known = "", True
            for found in self._db.objects.find(folder):
                name = found.url.key.removeprefix(f"{folder.key}/").partition("/")[0]
                if name != recording:
                    recording, is_known = name, self._is_known(name)
                if not is_known and found.modified_at < older_than:
                    yield found

    def _is_known(self, recording: str) -> bool:
        if not ObjectId.is_valid(recording):
            return True  # nothing that we have written
        id_ = ObjectId(recording)
        return (
            self._db.recordings.find_one({"_id": id_}, ["_id"]) is not None
            or self._db.chunks.find_one({"original_id": id_}, ["_id"]) is not None
        )

    def _folder(self, store: S3Url) -> S3Url:
        """Return this database's own folder in a store; make its name at the first use."""
        name = {"_id": str(store)}
        document = self._db.audio_stores.find_one(name)
        if document is None:
            with suppress(DuplicateKeyError):  # another process has just made it
                self._db.audio_stores.insert_one({**name, "folder": ObjectId()})
            document = self._db.audio_stores.find_one(name)
        assert document is not None
        return store / str(document["folder"])

    def _write_documents(self, audio: Mapping[ObjectId, bytes]) -> None:
        documents = [{"_id": id_, "data": Binary(data)} for id_, data in audio.items()]
        replace = [ReplaceOne({"_id": d["_id"]}, d, upsert=True) for d in documents]
        write_unless_there(self._db.audio, replace)


def write_unless_there(collection: Collection[Document], operations: Sequence[Any]) -> None:
    """Write all documents; skip those that are there already."""
    with translated():
        try:
            collection.bulk_write(operations, ordered=False)
        except BulkWriteError as error:
            errors = error.details.get("writeErrors", [])
            if error.details.get("writeConcernErrors") or any(
                fault["code"] != _DUPLICATE_KEY for fault in errors
            ):
                raise


def removal_note(removed_at: datetime) -> str:
    return f"the audio was removed on {removed_at:%Y-%m-%d} (STT_KEEP_AUDIO); the text is kept"
