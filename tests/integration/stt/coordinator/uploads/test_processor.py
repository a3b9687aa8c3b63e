"""Received uploads are cut once, whatever ends meanwhile, and nothing is left behind."""

import hashlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from bson import ObjectId

from stt.coordinator.store.uploads import UploadLog
from stt.coordinator.uploads import processor
from stt.coordinator.uploads.incoming import BROKE_OFF
from stt.coordinator.uploads.processor import UploadProcessor
from stt.media.decoder_pool import Decoder, DecoderPool, DecoderUnavailable
from stt.store.chunk_writer import ChunkWriter
from tests.support.coordinator_app import KeyedSession, running_coordinator
from tests.support.decoders import dying_decoders
from tests.support.dying_decoder import deadly
from tests.support.pace import until
from tests.support.recordings import babble, write_wav
from tests.support.upload_site import Site, ended, option, send, upload_of


def test_the_same_file_twice_is_found(site: Site, uploader: KeyedSession, talk: bytes) -> None:
    [first] = send(uploader, ("talk.wav", talk))
    before = ended(uploader, first["id"])
    [again] = send(uploader, ("other name.wav", talk))
    found = ended(uploader, again["id"])
    assert found["state"] == "already there"
    assert found["source_id"] == before["source_id"]


def test_the_same_file_at_once_is_one_recording(
    site: Site, uploader: KeyedSession, talk: bytes
) -> None:
    with ThreadPoolExecutor(6) as pool:
        sent = list(pool.map(lambda n: send(uploader, (f"{n}.wav", talk)), range(6)))
    states = [ended(uploader, upload["id"])["state"] for [upload] in sent]
    assert sorted(states) == ["already there"] * 5 + ["done"]
    assert site.database.recordings.count_documents({}) == 1
    assert site.database.chunks.count_documents({}) == 1


def test_one_that_has_ended_is_forgotten_and_its_recording_stays(
    site: Site, uploader: KeyedSession, talk: bytes
) -> None:
    [upload] = send(uploader, ("talk.wav", talk))
    ended(uploader, upload["id"])
    assert uploader.delete(f"/api/uploads/{upload['id']}").status_code == 204
    assert uploader.get("/api/uploads").json()["uploads"] == []
    assert site.database.recordings.count_documents({}) == 1


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("SIGSEGV", "it crashes the decoder (SIGSEGV)"),
        ("memory", "it takes more memory than a decoder may have"),
        ("time", "it takes too much time for the little sound that comes of it"),
    ],
)
def test_a_file_that_ends_its_decoder_is_a_bad_file(
    site: Site,
    uploader: KeyedSession,
    talk: bytes,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    line: str,
) -> None:
    with dying_decoders(monkeypatch):
        files = [("bad.wav", talk + deadly(kind, 1)), ("talk.wav", talk)]
        bad, good = (ended(uploader, upload["id"]) for upload in send(uploader, *files))
    assert (bad["state"], bad["error"]) == ("failed", f"bad.wav: {line}")
    assert good["state"] == "done"
    assert [found["filename"] for found in site.database.recordings.find()] == ["talk.wav"]
    until(lambda: not site.spooled())


def test_uploads_wait_while_no_decoder_can_be_started(
    site: Site, uploader: KeyedSession, talk: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "_POLL_SECONDS", 0.05)
    tried = []

    def take(_: DecoderPool) -> Decoder:
        tried.append(True)
        raise DecoderUnavailable("The decoder cannot be started: out of processes")

    with monkeypatch.context() as patch:
        patch.setattr(DecoderPool, "take", take)
        [upload] = send(uploader, ("talk.wav", talk))
        until(lambda: len(tried) > 1)
        assert upload_of(uploader, upload["id"])["state"] == "cutting"
    assert ended(uploader, upload["id"])["state"] == "done"


class TestWhatAnotherProcessLeft:
    """What a killed coordinator leaves: records, and files without a lock."""

    @pytest.fixture
    def left(self, site: Site, uploader: KeyedSession) -> Callable[..., str]:
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
        self, site: Site, uploader: KeyedSession, left: Callable[..., str]
    ) -> None:
        failed = ended(uploader, left("receiving", b"RIFF"))
        assert (failed["state"], failed["error"]) == ("failed", BROKE_OFF)
        until(lambda: not site.spooled())

    @pytest.mark.parametrize("state", ["waiting", "cutting"])
    def test_a_whole_one_is_cut(
        self, site: Site, uploader: KeyedSession, left: Callable[..., str], talk: bytes, state: str
    ) -> None:
        done = ended(uploader, left(state, talk))
        assert done["state"] == "done"
        recording = site.database.recordings.find_one({"_id": ObjectId(done["source_id"])})
        assert recording is not None
        assert (recording["filename"], recording["language"]) == ("left.wav", "de")

    def test_one_whose_file_is_gone_is_told(
        self, uploader: KeyedSession, left: Callable[..., str]
    ) -> None:
        assert ended(uploader, left("waiting", None))["error"] == BROKE_OFF

    def test_one_that_ends_every_process_is_given_up(
        self, uploader: KeyedSession, left: Callable[..., str], talk: bytes
    ) -> None:
        failed = ended(uploader, left("cutting", talk, tries=5))
        assert failed["error"] == "The coordinator ended 5 times over it."

    def test_that_of_another_machine_is_left_alone(
        self, site: Site, uploader: KeyedSession, left: Callable[..., str], talk: bytes
    ) -> None:
        elsewhere = left("waiting", None, spool="another machine's")
        assert ended(uploader, left("waiting", talk))["state"] == "done"
        assert upload_of(uploader, elsewhere)["state"] == "waiting"

    def test_files_that_nobody_wants_any_more_go_and_those_of_others_stay(
        self, site: Site, uploader: KeyedSession, left: Callable[..., str]
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
    site: Site, uploader: KeyedSession, tmp_path: Path
) -> None:
    recordings = [write_wav(tmp_path / f"{n}.wav", babble(2.0, n)).read_bytes() for n in range(6)]
    with running_coordinator(site.database, site.spool.parent) as second:
        other: UploadProcessor = second.app.state.processor
        assert other.spool.id == site.processor.spool.id
        with second.person() as at_second:
            uploads = [
                send((uploader, at_second)[n % 2], (f"{n}.wav", data))[0]
                for n, data in enumerate(recordings)
            ]
        assert [ended(uploader, upload["id"])["state"] for upload in uploads] == ["done"] * 6
    assert site.database.recordings.count_documents({}) == 6
    assert site.database.chunks.count_documents({}) == 6


class BeingCut(NamedTuple):
    id: str
    go_on: threading.Event


class TestWhatBreaksOff:
    @pytest.fixture
    def being_cut(
        self, site: Site, uploader: KeyedSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
        with option(uploader, "chunk_seconds", 1):
            [upload] = send(uploader, ("long.wav", long))
        until(lambda: site.database.chunks.count_documents({}) > 4)
        return BeingCut(str(upload["id"]), go_on)

    def test_an_upload_that_is_being_cut_can_be_cancelled(
        self, site: Site, uploader: KeyedSession, being_cut: BeingCut
    ) -> None:
        assert uploader.delete(f"/api/uploads/{being_cut.id}").status_code == 204
        being_cut.go_on.set()
        until(lambda: not site.spooled())
        self.assert_nothing_is_left(site, uploader)

    def test_a_recording_that_is_removed_takes_its_upload_along(
        self, site: Site, uploader: KeyedSession, being_cut: BeingCut
    ) -> None:
        [received] = uploader.get("/api/recordings?state=open").json()["recordings"]
        assert received["is_ingesting"]
        assert uploader.delete(f"/api/recordings/{received['id']}").status_code == 204
        being_cut.go_on.set()
        until(lambda: not site.spooled())
        self.assert_nothing_is_left(site, uploader)

    def assert_nothing_is_left(self, site: Site, uploader: KeyedSession) -> None:
        assert uploader.get("/api/uploads").json()["uploads"] == []
        assert site.database.recordings.count_documents({}) == 0
        assert site.database.chunks.count_documents({}) == 0
        assert site.database.audio.count_documents({}) == 0

    def test_a_priority_that_changes_while_it_is_cut_reaches_all_its_chunks(
        self, site: Site, uploader: KeyedSession, being_cut: BeingCut
    ) -> None:
        [received] = uploader.get("/api/recordings").json()["recordings"]
        uploader.patch(f"/api/recordings/{received['id']}", json={"priority": 5})
        being_cut.go_on.set()
        assert ended(uploader, being_cut.id)["state"] == "done"
        priorities = [chunk["priority"] for chunk in site.database.chunks.find()]
        assert (len(priorities) > 10, set(priorities)) == (True, {5})

    def test_a_coordinator_that_stops_leaves_what_it_cuts_to_the_next(
        self, site: Site, uploader: KeyedSession, being_cut: BeingCut
    ) -> None:
        site.processor.stop()
        being_cut.go_on.set()
        try:
            assert upload_of(uploader, being_cut.id)["state"] == "cutting"
            assert site.spooled() == [being_cut.id]
        finally:
            site.coordinator.app.state.processor = UploadProcessor(site.database, site.spool)
            site.processor.start()
        assert ended(uploader, being_cut.id)["state"] == "done"
