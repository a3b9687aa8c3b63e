"""Uploads over real HTTP: from a form into the spool, and from there into the queue."""

import hashlib
import http.client
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pymongo
import pytest
from bson import ObjectId

from stt.coordinator.store.uploads import UploadLog
from stt.coordinator.uploads import form, incoming, processor
from stt.coordinator.uploads.incoming import BROKE_OFF
from stt.coordinator.uploads.processor import UploadProcessor
from stt.media.audio import decode
from stt.store.chunk_writer import ChunkWriter
from stt.store.database import Database
from stt.store.ingest import IngestOptions, ingest
from tests.support.coordinator_app import (
    PEOPLES_KEY,
    CoordinatorThread,
    KeyedSession,
    running_coordinator,
)
from tests.support.pace import until
from tests.support.recordings import (
    CODECS,
    babble,
    write_recording,
    write_video_without_sound,
    write_wav,
)

FORMATS = ["mp3", "m4a", "wav", "flac", "ogg", "opus", "mp4"]


@dataclass(frozen=True)
class Site:
    database: Database
    coordinator: CoordinatorThread
    spool: Path

    @property
    def processor(self) -> UploadProcessor:
        found: UploadProcessor = self.coordinator.app.state.processor
        return found

    def spooled(self) -> list[str]:
        return [path.name for path in self.spool.iterdir() if path.name != ".id"]


@pytest.fixture(scope="module")
def site(mongo_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("data")
    name = f"stt_test_{ObjectId()}"
    with pytest.MonkeyPatch.context() as patch, Database(mongo_url, name) as database:
        patch.setattr(processor, "_POLL_SECONDS", 0.2)
        database.ensure_indexes()
        with running_coordinator(database, folder) as coordinator:
            site = Site(database, coordinator, folder / "uploads")
            yield site
            site.processor.stop()  # which may be another one than the coordinator began with
    with pymongo.MongoClient[dict[str, object]](mongo_url) as client:
        client.drop_database(name)


@pytest.fixture
def person(site: Site) -> Iterator[KeyedSession]:
    for collection in ("uploads", "recordings", "chunks", "audio"):
        getattr(site.database, collection).delete_many({})
    with site.coordinator.person() as session:
        yield session


def send(
    person: KeyedSession, *files: tuple[str, bytes], fields: dict[str, str] | None = None
) -> list[dict[str, Any]]:
    answer = person.post(
        "/upload", data=fields or {}, files=[("file", (name, data)) for name, data in files]
    )
    assert answer.status_code == 202, answer.text
    uploads: list[dict[str, Any]] = answer.json()["uploads"]
    return uploads


def upload_of(person: KeyedSession, upload_id: str) -> dict[str, Any]:
    listed = person.get("/api/uploads").json()["uploads"]
    [found] = [upload for upload in listed if upload["id"] == upload_id]
    return dict(found)


def ended(person: KeyedSession, upload_id: str) -> dict[str, Any]:
    def read() -> dict[str, Any] | None:
        upload = upload_of(person, upload_id)
        return upload if upload["state"] not in ("receiving", "waiting", "cutting") else None

    found: dict[str, Any] = until(read)
    return found


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = write_wav(tmp_path_factory.mktemp("talk") / "talk.wav", babble(3.0))
    return path.read_bytes()


class TestWhatIsSent:
    def test_every_format_becomes_a_recording_with_chunks(
        self, site: Site, person: KeyedSession, tmp_path: Path
    ) -> None:
        paths = [write_recording(tmp_path / f"talk.{name}", 2.0) for name in FORMATS]
        uploads = send(person, *((path.name, path.read_bytes()) for path in paths))
        assert [upload["filename"] for upload in uploads] == [path.name for path in paths]
        assert set(FORMATS) <= set(CODECS)
        for upload, path in zip(uploads, paths, strict=True):
            done = ended(person, upload["id"])
            assert (done["state"], done["error"]) == ("done", None)
            assert done["bytes"] == done["received_bytes"] == path.stat().st_size
            assert done["cut_seconds"] == done["total_seconds"] == pytest.approx(2.0, abs=0.15)
            chunk = site.database.chunks.find_one({"original_id": ObjectId(done["source_id"])})
            assert chunk is not None
            audio = site.database.audio.find_one({"_id": chunk["_id"]})
            assert audio is not None
            assert len(decode(audio["data"])) > 16_000
        until(lambda: not site.spooled())

    def test_the_wishes_of_a_person_reach_the_recording(
        self, site: Site, person: KeyedSession, talk: bytes
    ) -> None:
        fields = {"language": "de", "prompt": "Ann Müller", "priority": "7", "model": "tiny"}
        [upload] = send(person, ("talk.wav", talk), fields=fields)
        done = ended(person, upload["id"])
        recording = site.database.recordings.find_one({"_id": ObjectId(done["source_id"])})
        assert recording is not None
        assert (recording["language"], recording["prompt"]) == ("de", "Ann Müller")
        assert (recording["priority"], recording["model"]) == (7, "tiny")

    def test_wishes_may_stand_in_the_address(
        self, site: Site, person: KeyedSession, talk: bytes
    ) -> None:
        answer = person.post("/upload?language=fr&priority=-2", files={"file": ("talk.wav", talk)})
        done = ended(person, answer.json()["uploads"][0]["id"])
        recording = site.database.recordings.find_one({"_id": ObjectId(done["source_id"])})
        assert recording is not None
        assert (recording["language"], recording["priority"]) == ("fr", -2)

    def test_the_same_file_twice_is_found(
        self, site: Site, person: KeyedSession, talk: bytes
    ) -> None:
        [first] = send(person, ("talk.wav", talk))
        before = ended(person, first["id"])
        [again] = send(person, ("other name.wav", talk))
        found = ended(person, again["id"])
        assert found["state"] == "already there"
        assert found["source_id"] == before["source_id"]

    def test_the_same_file_at_once_is_one_recording(
        self, site: Site, person: KeyedSession, talk: bytes
    ) -> None:
        with ThreadPoolExecutor(6) as pool:
            sent = list(pool.map(lambda n: send(person, (f"{n}.wav", talk)), range(6)))
        states = [ended(person, upload["id"])["state"] for [upload] in sent]
        assert sorted(states) == ["already there"] * 5 + ["done"]
        assert site.database.recordings.count_documents({}) == 1
        assert site.database.chunks.count_documents({}) == 1

    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            ("../../x.wav", "../../x.wav"),
            ("<img src=x onerror=alert(1)>.wav", "<img src=x onerror=alert(1)>.wav"),
            ("\u202egpj.wav", "\u202egpj.wav"),
            ("a\x01b\x7f.wav", "a\ufffdb\ufffd.wav"),
            ("x" * 4_000, "x" * 499 + "…"),
            ('say "hi".wav', 'say "hi".wav'),
            ("C:\\talks\\one.wav", "one.wav"),
            ("50%.wav", "50%.wav"),
            ("Ä日本.wav", "Ä日本.wav"),
        ],
        ids=range(9),
    )
    def test_a_name_is_text_and_nothing_else(
        self, site: Site, person: KeyedSession, talk: bytes, name: str, shown: str
    ) -> None:
        body, kind = form_of(name.replace('"', "%22").encode(), talk)
        [upload] = person.post("/upload", data=body, headers={"Content-Type": kind}).json()[
            "uploads"
        ]
        done = ended(person, upload["id"])
        assert done["filename"] == shown
        recording = site.database.recordings.find_one({"_id": ObjectId(done["source_id"])})
        assert recording is not None
        assert recording["filename"] == shown

    def test_the_spool_is_for_nobody_else(self, site: Site, person: KeyedSession) -> None:
        assert stat.S_IMODE(site.spool.stat().st_mode) == 0o700


def form_of(name: bytes, data: bytes, boundary: bytes = b"frontier") -> tuple[bytes, str]:
    head = b'--%s\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n'
    body = head % (boundary, name) + data + b"\r\n--%s--\r\n" % boundary
    return body, f"multipart/form-data; boundary={boundary.decode()}"


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("data", "why"),
        [(b"", "empty: 0 bytes"), (b"%PDF-1.7 no sound in here", "not audio")],
        ids=["empty", "no audio"],
    )
    def test_what_is_no_recording_fails_with_a_sentence_and_leaves_nothing(
        self, site: Site, person: KeyedSession, data: bytes, why: str
    ) -> None:
        [upload] = send(person, ("paper.wav", data))
        failed = ended(person, upload["id"])
        assert failed["state"] == "failed"
        assert failed["error"].startswith("paper.wav: ")
        assert why in failed["error"]
        assert site.database.recordings.count_documents({}) == 0
        until(lambda: not site.spooled())

    def test_a_truncated_recording_and_a_silent_film_are_told_apart(
        self, site: Site, person: KeyedSession, talk: bytes, tmp_path: Path
    ) -> None:
        film = write_video_without_sound(tmp_path / "film.mp4").read_bytes()
        cut, silent = send(person, ("cut.wav", talk[:20_000]), ("film.mp4", film))
        assert "truncated" in ended(person, cut["id"])["error"]
        assert "no audio track" in ended(person, silent["id"])["error"]
        assert site.database.chunks.count_documents({}) == 0

    @pytest.mark.parametrize(
        ("fields", "word"),
        [
            ({"language": "not a language!"}, "language"),
            ({"model": "../../etc/passwd x"}, "model"),
            ({"priority": "high"}, "priority"),
            ({"priority": str(10**12)}, "priority"),
        ],
        ids=["language", "model", "priority", "huge priority"],
    )
    def test_a_wish_that_can_be_none_is_refused(
        self, site: Site, person: KeyedSession, talk: bytes, fields: dict[str, str], word: str
    ) -> None:
        answer = person.post("/upload", data=fields, files={"file": ("talk.wav", talk)})
        assert answer.status_code == 422
        assert word in answer.json()["error"]["message"]
        assert person.get("/api/uploads").json()["uploads"] == []

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b"{}", "application/json"),
            (b"hello", "multipart/form-data"),
            (b"hello", "multipart/form-data; boundary=x"),
            (b"", "multipart/form-data; boundary=x"),
            (b"--x--\r\n", "multipart/form-data; boundary=x"),
            (b"--x\r\nno header\r\n\r\n--x--", "multipart/form-data; boundary=x"),
            (
                b'--x\r\nContent-Disposition: form-data; name="a"; filename=""\r\n\r\n\r\n--x--',
                "multipart/form-data; boundary=x",
            ),
        ],
        ids=["json", "no boundary", "no form", "empty", "no part", "broken", "no file chosen"],
    )
    def test_what_is_no_form_with_a_file_is_a_bad_request(
        self, person: KeyedSession, body: bytes, kind: str
    ) -> None:
        answer = person.post("/upload", data=body, headers={"Content-Type": kind})
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["code"] == "bad_request"

    def test_a_form_that_ends_in_the_middle_of_a_file_leaves_no_half(
        self, site: Site, person: KeyedSession, talk: bytes
    ) -> None:
        body, kind = form_of(b"talk.wav", talk)
        answer = person.post("/upload", data=body[:30_000], headers={"Content-Type": kind})
        assert answer.status_code == 400
        [upload] = person.get("/api/uploads").json()["uploads"]
        assert upload["state"] == "failed"
        assert site.spooled() == []

    def test_a_file_that_is_too_large_is_refused_and_the_one_before_it_taken(
        self, site: Site, person: KeyedSession, talk: bytes
    ) -> None:
        with option(person, "max_upload_mb", 1):
            large = bytes(1024 * 1024 + 1)
            answer = person.post(
                "/upload",
                files=[("file", ("talk.wav", talk)), ("file", ("large.wav", large))],
            )
        assert answer.status_code == 413
        assert "larger than 1 MB" in answer.json()["error"]["message"]
        uploads = {u["filename"]: u for u in person.get("/api/uploads").json()["uploads"]}
        assert ended(person, uploads["talk.wav"]["id"])["state"] == "done"
        assert uploads["large.wav"]["state"] == "failed"
        assert "larger than 1 MB" in uploads["large.wav"]["error"]

    def test_too_many_files_at_once_are_refused(
        self, person: KeyedSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(form, "MAX_FILES", 2)
        files = [("file", (f"{n}.wav", b"x")) for n in range(3)]
        answer = person.post("/upload", files=files)
        assert answer.status_code == 413
        assert len(person.get("/api/uploads").json()["uploads"]) == 2

    def test_fields_without_measure_are_refused(self, person: KeyedSession, talk: bytes) -> None:
        answer = person.post(
            "/upload", data={"prompt": "x" * 200_000}, files={"file": ("talk.wav", talk)}
        )
        assert answer.status_code == 413

    def test_a_disk_that_is_nearly_full_refuses_before_anything_is_sent(
        self, site: Site, person: KeyedSession, talk: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("stt.coordinator.uploads.spool.RESERVE_BYTES", 2**62)
        answer = person.post("/upload", files={"file": ("talk.wav", talk)})
        assert answer.status_code == 507
        assert answer.json()["error"]["code"] == "out_of_space"
        assert person.get("/api/uploads").json()["uploads"] == []

    def test_a_disk_that_fills_up_meanwhile_refuses_and_removes_the_half(
        self, site: Site, person: KeyedSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        free = iter([2**40, 2**40, 2**40])
        monkeypatch.setattr(site.processor.spool, "free_bytes", lambda: next(free, 0))
        answer = person.post("/upload", files={"file": ("large.wav", bytes(4 * 1024 * 1024))})
        assert answer.status_code == 507
        [upload] = person.get("/api/uploads").json()["uploads"]
        assert (upload["state"], "full" in upload["error"]) == ("failed", True)
        assert site.spooled() == []

    def test_a_node_may_not_upload(self, site: Site, talk: bytes) -> None:
        _, key = site.coordinator.join()
        with site.coordinator.node(key) as node:
            assert node.post("/upload", files={"file": ("talk.wav", talk)}).status_code == 403
            assert node.get("/api/uploads").status_code == 403


@contextmanager
def option(person: KeyedSession, name: str, value: object) -> Iterator[None]:
    assert person.patch("/api/options", json={name: value}).status_code == 200
    try:
        yield
    finally:
        person.patch("/api/options", json={name: None})


@contextmanager
def half_sent(site: Site, name: str = "half.wav", size: int = 5_000_000) -> Iterator[socket.socket]:
    """Begin an upload of which a good part is there, and the rest does not come."""
    body, kind = form_of(name.encode(), bytes(size))
    parts = urlsplit(site.coordinator.url)
    with socket.create_connection((str(parts.hostname), parts.port or 0)) as connection:
        head = (
            f"POST /upload HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: {kind}\r\n"
            f"Authorization: Bearer {PEOPLES_KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        connection.sendall(head.encode() + body[: size // 2])
        until(lambda: site.spooled())
        yield connection


class BeingCut(NamedTuple):
    id: str
    go_on: threading.Event


class TestWhatBreaksOff:
    def test_a_client_that_hangs_up_leaves_no_half(self, site: Site, person: KeyedSession) -> None:
        with half_sent(site):
            [upload] = person.get("/api/uploads").json()["uploads"]
            assert upload["state"] == "receiving"
        failed = ended(person, upload["id"])
        assert (failed["state"], failed["error"]) == ("failed", BROKE_OFF)
        until(lambda: not site.spooled())

    def test_a_client_that_falls_silent_is_told_so(
        self, site: Site, person: KeyedSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(form, "_STALL_SECONDS", 0.3)
        with half_sent(site) as connection:
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert answer.status == 408
        [upload] = person.get("/api/uploads").json()["uploads"]
        assert upload["state"] == "failed"
        assert site.spooled() == []

    def test_an_upload_that_is_being_received_can_be_cancelled(
        self, site: Site, person: KeyedSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(incoming, "_PROGRESS_SECONDS", 0.0)
        with half_sent(site) as connection:
            until(lambda: person.get("/api/uploads").json()["uploads"])
            [upload] = person.get("/api/uploads").json()["uploads"]
            assert person.delete(f"/api/uploads/{upload['id']}").status_code == 204
            connection.sendall(bytes(2_000_000))
            until(lambda: not site.spooled())
        assert person.get("/api/uploads").json()["uploads"] == []
        assert person.delete(f"/api/uploads/{upload['id']}").status_code == 404

    def test_progress_of_what_is_received_can_be_watched(
        self, site: Site, person: KeyedSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(incoming, "_PROGRESS_SECONDS", 0.0)
        with half_sent(site, size=8_000_000):
            upload = until(
                lambda: [
                    u
                    for u in person.get("/api/uploads").json()["uploads"]
                    if u["received_bytes"] >= 3_000_000
                ]
            )[0]
            assert upload["bytes"] == pytest.approx(8_000_000, rel=0.1)

    @pytest.fixture
    def being_cut(
        self, site: Site, person: KeyedSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> BeingCut:
        """Begin an upload of which a few chunks are there, and the others wait for `go_on`."""
        go_on = threading.Event()

        def in_parts(*arguments: Any, **named: Any) -> Any:
            if site.database.chunks.count_documents({}) > 4:
                until(lambda: go_on.is_set() or site.processor._stopping.is_set())
            return store(*arguments, **named)

        store = ChunkWriter.add
        monkeypatch.setattr(ChunkWriter, "add", in_parts)
        monkeypatch.setattr(processor, "_PROGRESS_SECONDS", 0.0)
        long = write_wav(tmp_path / "long.wav", babble(14)).read_bytes()
        with option(person, "chunk_seconds", 1):
            [upload] = send(person, ("long.wav", long))
        until(lambda: site.database.chunks.count_documents({}) > 4)
        return BeingCut(str(upload["id"]), go_on)

    def test_an_upload_that_is_being_cut_can_be_cancelled(
        self, site: Site, person: KeyedSession, being_cut: BeingCut
    ) -> None:
        assert person.delete(f"/api/uploads/{being_cut.id}").status_code == 204
        being_cut.go_on.set()
        until(lambda: not site.spooled())
        self.assert_nothing_is_left(site, person)

    def test_a_recording_that_is_removed_takes_its_upload_along(
        self, site: Site, person: KeyedSession, being_cut: BeingCut
    ) -> None:
        [received] = person.get("/api/recordings?state=open").json()["recordings"]
        assert received["is_ingesting"]
        assert person.delete(f"/api/recordings/{received['id']}").status_code == 204
        being_cut.go_on.set()
        until(lambda: not site.spooled())
        self.assert_nothing_is_left(site, person)

    def assert_nothing_is_left(self, site: Site, person: KeyedSession) -> None:
        assert person.get("/api/uploads").json()["uploads"] == []
        assert site.database.recordings.count_documents({}) == 0
        assert site.database.chunks.count_documents({}) == 0
        assert site.database.audio.count_documents({}) == 0

    def test_a_priority_that_changes_while_it_is_cut_reaches_all_its_chunks(
        self, site: Site, person: KeyedSession, being_cut: BeingCut
    ) -> None:
        [received] = person.get("/api/recordings").json()["recordings"]
        person.patch(f"/api/recordings/{received['id']}", json={"priority": 5})
        being_cut.go_on.set()
        assert ended(person, being_cut.id)["state"] == "done"
        priorities = [chunk["priority"] for chunk in site.database.chunks.find()]
        assert (len(priorities) > 10, set(priorities)) == (True, {5})

    def test_a_coordinator_that_stops_leaves_what_it_cuts_to_the_next(
        self, site: Site, person: KeyedSession, being_cut: BeingCut
    ) -> None:
        site.processor.stop()
        being_cut.go_on.set()
        try:
            assert upload_of(person, being_cut.id)["state"] == "cutting"
            assert site.spooled() == [being_cut.id]
        finally:
            site.coordinator.app.state.processor = UploadProcessor(site.database, site.spool)
            site.processor.start()
        assert ended(person, being_cut.id)["state"] == "done"

    def test_one_that_has_ended_is_forgotten_and_its_recording_stays(
        self, site: Site, person: KeyedSession, talk: bytes
    ) -> None:
        [upload] = send(person, ("talk.wav", talk))
        ended(person, upload["id"])
        assert person.delete(f"/api/uploads/{upload['id']}").status_code == 204
        assert person.get("/api/uploads").json()["uploads"] == []
        assert site.database.recordings.count_documents({}) == 1


class TestWhatAnotherProcessLeft:
    """What a killed coordinator leaves: records, and files without a lock."""

    @pytest.fixture
    def left(self, site: Site, person: KeyedSession) -> Callable[..., str]:
        def leave(state: str, data: bytes | None, spool: str | None = None, **fields: Any) -> str:
            upload_id, uploads = ObjectId(), UploadLog(site.database)
            if data is not None:
                (site.spool / str(upload_id)).write_bytes(data)
            options = {"language": "de", "chunk_seconds": 30.0}
            changed = {"state": state, "sha256": hashlib.sha256(data or b"").hexdigest(), **fields}
            with site.processor.spool.hold(upload_id):
                uploads.begin(upload_id, spool or site.processor.spool.id, "left.wav", 10, options)
                site.database.uploads.update_one({"_id": upload_id}, {"$set": changed})
            return str(upload_id)

        return leave

    def test_a_half_is_removed_and_told(
        self, site: Site, person: KeyedSession, left: Callable[..., str]
    ) -> None:
        failed = ended(person, left("receiving", b"RIFF"))
        assert (failed["state"], failed["error"]) == ("failed", BROKE_OFF)
        until(lambda: not site.spooled())

    @pytest.mark.parametrize("state", ["waiting", "cutting"])
    def test_a_whole_one_is_cut(
        self, site: Site, person: KeyedSession, left: Callable[..., str], talk: bytes, state: str
    ) -> None:
        done = ended(person, left(state, talk))
        assert done["state"] == "done"
        recording = site.database.recordings.find_one({"_id": ObjectId(done["source_id"])})
        assert recording is not None
        assert (recording["filename"], recording["language"]) == ("left.wav", "de")

    def test_one_whose_file_is_gone_is_told(
        self, person: KeyedSession, left: Callable[..., str]
    ) -> None:
        assert ended(person, left("waiting", None))["error"] == BROKE_OFF

    def test_one_that_ends_every_process_is_given_up(
        self, person: KeyedSession, left: Callable[..., str], talk: bytes
    ) -> None:
        failed = ended(person, left("cutting", talk, tries=5))
        assert failed["error"] == "The coordinator ended 5 times over it."

    def test_that_of_another_machine_is_left_alone(
        self, site: Site, person: KeyedSession, left: Callable[..., str], talk: bytes
    ) -> None:
        elsewhere = left("waiting", None, spool="another machine's")
        assert ended(person, left("waiting", talk))["state"] == "done"
        assert upload_of(person, elsewhere)["state"] == "waiting"

    def test_files_that_nobody_wants_any_more_go_and_those_of_others_stay(
        self, site: Site, person: KeyedSession, left: Callable[..., str]
    ) -> None:
        cancelled = left("cancelled", b"RIFF")
        unknown, forgotten = ObjectId(), ObjectId()
        for stray in (unknown, forgotten):
            (site.spool / str(stray)).write_bytes(b"RIFF")
        weeks_ago = time.time() - 20 * 86_400
        os.utime(site.spool / str(forgotten), (weeks_ago, weeks_ago))
        until(lambda: site.spooled() == [str(unknown)])
        until(lambda: not UploadLog(site.database).is_known(ObjectId(cancelled)))
        (site.spool / str(unknown)).unlink()


def test_two_coordinators_of_one_folder_cut_each_upload_once(
    site: Site, person: KeyedSession, tmp_path: Path
) -> None:
    recordings = [write_wav(tmp_path / f"{n}.wav", babble(2.0, n)).read_bytes() for n in range(6)]
    with running_coordinator(site.database, site.spool.parent) as second:
        other: UploadProcessor = second.app.state.processor
        assert other.spool.id == site.processor.spool.id
        with second.person() as at_second:
            uploads = [
                send((person, at_second)[n % 2], (f"{n}.wav", data))[0]
                for n, data in enumerate(recordings)
            ]
        assert [ended(person, upload["id"])["state"] for upload in uploads] == ["done"] * 6
    assert site.database.recordings.count_documents({}) == 6
    assert site.database.chunks.count_documents({}) == 6


def test_a_recording_that_is_there_already_keeps_its_wishes(
    site: Site, person: KeyedSession, talk: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "first.wav"
    path.write_bytes(talk)
    recording = ingest(site.database, path, IngestOptions(language="nl")).recording
    [upload] = send(person, ("talk.wav", talk), fields={"language": "de"})
    assert ended(person, upload["id"])["source_id"] == str(recording.id)
    found = site.database.recordings.find_one({"_id": recording.id})
    assert found is not None
    assert (found["language"], found["filename"]) == ("nl", "first.wav")
