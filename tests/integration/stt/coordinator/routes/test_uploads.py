"""Uploads over real HTTP, from what is sent to a recording in the queue."""

from pathlib import Path

import pytest
from bson import ObjectId

from stt.media.audio import decode
from stt.store.ingest import IngestOptions, ingest
from tests.support.coordinator_app import KeyedSession
from tests.support.pace import until
from tests.support.recordings import CODECS, write_recording, write_video_without_sound
from tests.support.upload_site import Site, ended, send

FORMATS = ["mp3", "m4a", "wav", "flac", "ogg", "opus", "mp4"]


class TestWhatIsSent:
    def test_every_format_becomes_a_recording_with_chunks(
        self, site: Site, uploader: KeyedSession, tmp_path: Path
    ) -> None:
        paths = [write_recording(tmp_path / f"talk.{name}", 2.0) for name in FORMATS]
        uploads = send(uploader, *((path.name, path.read_bytes()) for path in paths))
        assert [upload["filename"] for upload in uploads] == [path.name for path in paths]
        assert set(FORMATS) <= set(CODECS)
        for upload, path in zip(uploads, paths, strict=True):
            done = ended(uploader, upload["id"])
            assert (done["state"], done["error"]) == ("done", None)
            assert done["bytes"] == done["received_bytes"] == path.stat().st_size
            assert done["cut_seconds"] == done["total_seconds"] == pytest.approx(2.0, abs=0.15)
            chunk = site.database.chunks.find_one({"original_id": ObjectId(done["source_id"])})
            assert chunk is not None
            audio = site.database.audio.find_one({"_id": chunk["_id"]})
            assert audio is not None
            assert len(decode(audio["data"])) > 16_000
        until(lambda: not site.spooled())


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("data", "why"),
        [(b"", "empty: 0 bytes"), (b"%PDF-1.7 no sound in here", "not audio")],
        ids=["empty", "no audio"],
    )
    def test_what_is_no_recording_fails_with_a_sentence_and_leaves_nothing(
        self, site: Site, uploader: KeyedSession, data: bytes, why: str
    ) -> None:
        [upload] = send(uploader, ("paper.wav", data))
        failed = ended(uploader, upload["id"])
        assert failed["state"] == "failed"
        assert failed["error"].startswith("paper.wav: ")
        assert why in failed["error"]
        assert site.database.recordings.count_documents({}) == 0
        until(lambda: not site.spooled())

    def test_a_truncated_recording_and_a_silent_film_are_told_apart(
        self, site: Site, uploader: KeyedSession, talk: bytes, tmp_path: Path
    ) -> None:
        film = write_video_without_sound(tmp_path / "film.mp4").read_bytes()
        cut, silent = send(uploader, ("cut.wav", talk[:20_000]), ("film.mp4", film))
        assert "truncated" in ended(uploader, cut["id"])["error"]
        assert "no audio track" in ended(uploader, silent["id"])["error"]
        assert site.database.chunks.count_documents({}) == 0

    def test_a_node_may_not_upload(self, site: Site, talk: bytes) -> None:
        _, key = site.coordinator.join()
        with site.coordinator.node(key) as node:
            assert node.post("/upload", files={"file": ("talk.wav", talk)}).status_code == 403
            assert node.get("/api/uploads").status_code == 403


def test_a_recording_that_is_there_already_keeps_its_wishes(
    site: Site, uploader: KeyedSession, talk: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "first.wav"
    path.write_bytes(talk)
    recording = ingest(site.database, path, IngestOptions(language="nl")).recording
    [upload] = send(uploader, ("talk.wav", talk), fields={"language": "de"})
    assert ended(uploader, upload["id"])["source_id"] == str(recording.id)
    found = site.database.recordings.find_one({"_id": recording.id})
    assert found is not None
    assert (found["language"], found["filename"]) == ("nl", "first.wav")
