"""Uploads over real HTTP, from what is sent to a recording in the queue."""

from pathlib import Path

import pytest
from bson import ObjectId

from stt.media.audio import decode
from stt.store.ingest import ingest
from stt.store.ingest_options import IngestOptions
from tests.support.coordinator_app import KeyedSession
from tests.support.pace import until
from tests.support.recordings import CODECS, write_recording, write_video_without_sound
from tests.support.upload_site import Site, ended, send

TWO_TRACKS = Path(__file__).parents[4] / "data" / "two-tracks-second-default.mkv"
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

    def test_the_senders_key_and_the_files_time_are_kept(
        self, site: Site, uploader: KeyedSession, tmp_path: Path
    ) -> None:
        path = write_recording(tmp_path / "talk.wav", 2.0)
        query = {"transfer": "one-2", "modified": "2026-01-02T03:04:05.678Z"}
        files = {"file": ("talk.wav", path.read_bytes())}
        answer = uploader.post("/upload", params=query, files=files).json()
        assert answer["warnings"] == []
        assert answer["uploads"][0]["transfer"] == "one-2"
        done = ended(uploader, answer["uploads"][0]["id"])
        recording = site.database.recordings.find_one({"_id": ObjectId(done["source_id"])})
        assert recording is not None
        assert recording["start"].isoformat() == "2026-01-02T03:04:05.678000+00:00"

    @pytest.mark.parametrize("query", [{"transfer": "<b>"}, {"modified": "yesterday"}])
    def test_a_key_or_a_time_that_is_none_is_refused(
        self, uploader: KeyedSession, query: dict[str, str]
    ) -> None:
        answer = uploader.post("/upload", params=query, files={"file": ("a.wav", b"x")})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")


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
        files = (("cut.wav", talk[:20_000]), ("film.mp4", film))
        cut, silent = send(uploader, *files, fields={"strict": "true"})
        assert "truncated" in ended(uploader, cut["id"])["error"]
        assert "no audio track" in ended(uploader, silent["id"])["error"]
        assert site.database.chunks.count_documents({}) == 0

    def test_a_node_may_not_upload(self, site: Site, talk: bytes) -> None:
        _, key = site.coordinator.join()
        with site.coordinator.node(key) as node:
            assert node.post("/upload", files={"file": ("talk.wav", talk)}).status_code == 403
            assert node.get("/api/uploads").status_code == 403


class TestWarnings:
    def test_what_is_lost_is_shown_with_the_upload_and_with_the_recording(
        self, site: Site, uploader: KeyedSession, talk: bytes
    ) -> None:
        [upload] = send(uploader, ("cut.wav", talk[:20_000]))
        done = ended(uploader, upload["id"])
        assert (done["state"], done["error"]) == ("done", None)
        (warning,) = done["warnings"]
        assert warning.startswith("truncated: it breaks off after 0:00:00.6")
        recording = uploader.get(f"/api/recordings/{done['source_id']}").json()
        assert recording["warnings"] == [warning]

    def test_the_audio_track_can_be_chosen(self, site: Site, uploader: KeyedSession) -> None:
        film = ("film.mkv", TWO_TRACKS.read_bytes())
        [missing] = send(uploader, film, fields={"track": "9"})
        assert "no track 9: it has 2 audio tracks" in ended(uploader, missing["id"])["error"]
        [first] = send(uploader, film, fields={"track": "1"})
        done = ended(uploader, first["id"])
        assert done["warnings"] == ["audio track 1 of 2 was taken"]
        recording = uploader.get(f"/api/recordings/{done['source_id']}").json()
        assert recording["track"] == 1

    @pytest.mark.parametrize("track", ["0", "-1", "two", "1.5"])
    def test_a_number_that_no_track_has_is_refused(
        self, site: Site, uploader: KeyedSession, talk: bytes, track: str
    ) -> None:
        answer = uploader.post(
            "/upload", data={"track": track}, files=[("file", ("talk.wav", talk))]
        )
        assert answer.status_code == 422
        assert "track" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "speakers", "most"),
    [
        ({}, None, None),
        ({"speakers": ""}, None, None),
        ({"speakers": "auto"}, 0, None),
        ({"speakers": "3"}, 3, None),
        ({"max_speakers": "5"}, 0, 5),
    ],
)
def test_speakers_are_found_if_an_upload_asks_for_them(
    site: Site,
    uploader: KeyedSession,
    talk: bytes,
    fields: dict[str, str],
    speakers: int | None,
    most: int | None,
) -> None:
    [upload] = send(uploader, ("talk.wav", talk), fields=fields)
    assert ended(uploader, upload["id"])["state"] == "done"
    recording = site.database.recordings.find_one({})
    assert recording is not None
    assert (recording.get("speakers"), recording.get("max_speakers")) == (speakers, most)
    assert ("speakers" in recording) == (speakers is not None)


@pytest.mark.parametrize(
    ("address", "fields", "speakers", "most"),
    [
        ("max_speakers=3", {"speakers": "4"}, 4, None),
        ("speakers=4", {"max_speakers": "3"}, 0, 3),
        ("max_speakers=3", {"language": "de"}, 0, 3),
    ],
)
def test_a_forms_wish_for_speakers_replaces_that_of_its_address(
    site: Site,
    uploader: KeyedSession,
    talk: bytes,
    address: str,
    fields: dict[str, str],
    speakers: int,
    most: int | None,
) -> None:
    file = {"file": ("talk.wav", talk)}
    answer = uploader.post(f"/upload?{address}", data=fields, files=file)
    assert answer.status_code == 202, answer.text
    [upload] = answer.json()["uploads"]
    assert ended(uploader, upload["id"])["state"] == "done"
    recording = site.database.recordings.find_one({})
    assert recording is not None
    assert (recording["speakers"], recording.get("max_speakers")) == (speakers, most)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"speakers": "many"}, "speakers: `auto`, or a number up to 50, is needed"),
        ({"speakers": "51"}, "speakers: at most 50"),
        ({"max_speakers": "0"}, "max_speakers: at least 1"),
        ({"speakers": "2", "max_speakers": "5"}, "leave out one of the two"),
        ({"speakers": "2", "channels": "split"}, "Split channels are speakers already"),
    ],
)
def test_a_wrong_number_of_speakers_is_refused(
    uploader: KeyedSession, talk: bytes, fields: dict[str, str], message: str
) -> None:
    answer = uploader.post("/upload", files={"file": ("talk.wav", talk)}, data=fields)
    assert answer.status_code == 422
    assert message in answer.json()["error"]["message"]


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
