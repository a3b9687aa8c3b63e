"""Uploads that go on after a break: nothing is lost, and nothing is left behind."""

import hashlib
import os
import time
from pathlib import Path

import pytest
from bson import ObjectId

from stt.coordinator.uploads import incoming, processor
from stt.errors import DatabaseUnavailable
from tests.support.coordinator_app import KeyedSession, running_coordinator
from tests.support.pace import until
from tests.support.tus import append, begin, create, half_sent, offset_of
from tests.support.upload_site import Site, ended, option, send, upload_of

MB = 1024 * 1024
MODIFIED = "2026-01-02T03:04:05.678Z"
SAME = {"modified": MODIFIED, "fingerprint": "a1"}


@pytest.fixture(autouse=True)
def _no_files(site: Site, uploader: KeyedSession) -> None:
    """Remove what the tests before have left in part: its records are gone."""
    for name in site.spooled():
        (site.spool / name).unlink(missing_ok=True)


def id_of(path: str) -> str:
    return path.rpartition("/")[2]


def sha256_of(site: Site, upload: dict[str, object]) -> str:
    recording = site.database.recordings.find_one({"_id": ObjectId(str(upload["source_id"]))})
    assert recording is not None
    return str(recording["sha256"])


def test_a_file_in_several_parts_becomes_its_recording(
    site: Site, uploader: KeyedSession, talk: bytes
) -> None:
    path = begin(uploader, len(talk), "talks/talk.wav", transfer="one-2", modified=MODIFIED)
    for start in range(0, len(talk), 30_000):
        assert offset_of(uploader, path) == start
        answer = append(uploader, path, start, talk[start : start + 30_000])
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["Upload-Offset"] == str(min(start + 30_000, len(talk)))
    done = ended(uploader, id_of(path))
    assert (done["state"], done["transfer"], done["bytes"]) == ("done", "one-2", len(talk))
    assert sha256_of(site, done) == hashlib.sha256(talk).hexdigest()
    assert offset_of(uploader, path) == len(talk)  # its sender may not have seen the last answer
    [again] = send(uploader, ("other.wav", talk))
    assert ended(uploader, again["id"])["state"] == "already there"


def test_what_came_before_a_break_is_kept_and_the_rest_follows(
    site: Site, uploader: KeyedSession, talk: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stt.coordinator.uploads.resumable._WRITE_BYTES", 1)  # as it comes
    path = begin(uploader, len(talk))
    with half_sent(site, path, talk[:40_000], len(talk)):
        until(lambda: offset_of(uploader, path) == 40_000)
    until(lambda: upload_of(uploader, id_of(path))["state"] == "interrupted")
    assert append(uploader, path, 40_000, talk[40_000:]).status_code == 204
    done = ended(uploader, id_of(path))
    assert (done["state"], sha256_of(site, done)) == ("done", hashlib.sha256(talk).hexdigest())
    until(lambda: not site.spooled())


def test_it_goes_on_at_a_coordinator_that_was_started_again(
    site: Site, uploader: KeyedSession, talk: bytes
) -> None:
    """Its file is there; the one that has stopped may not have written down how far it came."""
    path = begin(uploader, len(talk))
    append(uploader, path, 0, talk[:40_000])
    site.database.uploads.update_one({}, {"$set": {"state": "receiving", "received_bytes": 0}})
    with (
        running_coordinator(site.database, site.spool.parent) as again,
        again.person() as person,
    ):
        assert offset_of(person, path) == 40_000
        append(person, path, 40_000, talk[40_000:])
        assert ended(person, id_of(path))["state"] == "done"


def test_of_two_that_send_the_same_upload_one_waits(
    site: Site, uploader: KeyedSession, talk: bytes
) -> None:
    path = begin(uploader, len(talk))
    with half_sent(site, path, talk[:40_000], len(talk)) as connection:

        def is_locked() -> bool:
            return append(uploader, path, 0, b"").status_code == 423

        until(is_locked)
        connection.sendall(talk[40_000:])
        assert connection.recv(100).startswith(b"HTTP/1.1 204")
    assert ended(uploader, id_of(path))["state"] == "done"
    assert append(uploader, path, 0, talk).status_code == 409


def test_a_dead_connection_keeps_an_upload_only_for_a_while(
    site: Site, uploader: KeyedSession, talk: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stt.coordinator.uploads.resumable._STALL_SECONDS", 0.1)
    path = begin(uploader, len(talk))
    with half_sent(site, path, talk[:40_000], len(talk)) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 408")
        offset = offset_of(uploader, path)  # less where the machine was too busy to read it all
        assert append(uploader, path, offset, talk[offset:]).status_code == 204


@pytest.mark.parametrize("offset", [0, 39_999, 40_001])
def test_a_part_at_another_place_is_refused(
    uploader: KeyedSession, talk: bytes, offset: int
) -> None:
    path = begin(uploader, len(talk))
    append(uploader, path, 0, talk[:40_000])
    answer = append(uploader, path, offset, talk[offset:])
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "offset")
    assert "goes on at 40000" in answer.json()["error"]["message"]
    assert offset_of(uploader, path) == 40_000


def test_no_byte_more_is_taken_than_was_announced(
    site: Site, uploader: KeyedSession, talk: bytes
) -> None:
    path = begin(uploader, 40_000)
    answer = append(uploader, path, 0, talk[:40_001])
    assert answer.status_code == 413
    assert "40,000 bytes" in answer.json()["error"]["message"]
    assert (site.spool / id_of(path)).stat().st_size == 0


def test_a_file_that_is_too_large_is_refused_before_anything_is_sent(
    site: Site, uploader: KeyedSession
) -> None:
    with option(uploader, "max_upload_mb", 1):
        answer = create(uploader, MB + 1, "large.wav")
        assert begin(uploader, MB)
    assert answer.status_code == 413
    assert answer.json()["error"]["message"].startswith("large.wav is larger than 1 MB")
    assert len(site.spooled()) == 1


def test_a_full_disk_refuses_a_file_and_one_that_fills_up_keeps_what_came(
    site: Site, uploader: KeyedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = begin(uploader, 4 * MB)
    with monkeypatch.context() as patch:
        free = iter([2**40])
        patch.setattr(site.processor.spool, "free_bytes", lambda: next(free, 0))
        assert append(uploader, path, 0, bytes(4 * MB)).status_code == 507
        assert create(uploader, 10, "other.wav").status_code == 507
    come = offset_of(uploader, path)
    assert come >= MB
    assert append(uploader, path, come, bytes(4 * MB - come)).status_code == 204
    assert "not audio" in ended(uploader, id_of(path))["error"]


class TestTheSameFileAgain:
    def test_it_goes_on_where_it_broke_off(self, uploader: KeyedSession, talk: bytes) -> None:
        path = begin(uploader, len(talk), **SAME)
        append(uploader, path, 0, talk[:40_000])
        assert begin(uploader, len(talk), **SAME, language="de") == path
        assert offset_of(uploader, path) == 40_000
        append(uploader, path, 40_000, talk[40_000:])
        done = ended(uploader, id_of(path))
        recording = uploader.get(f"/api/recordings/{done['source_id']}").json()
        assert recording["language"] == "de"
        assert begin(uploader, len(talk), **SAME) != path

    def test_a_begin_whose_answer_was_lost_is_the_same_upload(
        self, site: Site, uploader: KeyedSession
    ) -> None:
        assert begin(uploader, 10, transfer="a-1") == begin(uploader, 10, transfer="a-1")
        assert len(site.spooled()) == 1

    @pytest.mark.parametrize(
        ("size", "name", "query"),
        [
            (11, "talk.wav", SAME),
            (10, "other.wav", SAME),
            (10, "talk.wav", {**SAME, "modified": "2026-01-02T03:04:06Z"}),
            (10, "talk.wav", {**SAME, "fingerprint": "b2"}),  # of another folder
            (10, "talk.wav", {"modified": MODIFIED}),
            (10, "talk.wav", {}),
        ],
    )
    def test_another_one_is_another_upload(
        self, uploader: KeyedSession, size: int, name: str, query: dict[str, str]
    ) -> None:
        path = begin(uploader, 10, **SAME)
        assert begin(uploader, size, name, **query) != path

    def test_another_fingerprint_is_another_upload_also_with_the_senders_key(
        self, uploader: KeyedSession
    ) -> None:
        path = begin(uploader, 10, **SAME, transfer="one")
        assert begin(uploader, 10, **SAME, transfer="one") == path
        assert begin(uploader, 10, transfer="one") == path
        assert begin(uploader, 10, **{**SAME, "fingerprint": "b2"}, transfer="one") != path

    def test_without_a_fingerprint_two_of_one_name_size_and_time_are_two(
        self, uploader: KeyedSession
    ) -> None:
        assert begin(uploader, 10, modified=MODIFIED) != begin(uploader, 10, modified=MODIFIED)


class TestWhatIsNotContinued:
    def test_it_is_shown_as_interrupted_and_may_go_on(
        self, uploader: KeyedSession, talk: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(processor, "_INTERRUPTED_SECONDS", 0.0)
        path = begin(uploader, len(talk))
        append(uploader, path, 0, talk[:40_000])
        until(lambda: upload_of(uploader, id_of(path))["state"] == "interrupted")
        assert upload_of(uploader, id_of(path))["received_bytes"] == 40_000
        append(uploader, path, 40_000, talk[40_000:])
        assert ended(uploader, id_of(path))["state"] == "done"

    def test_it_is_removed_after_some_days(
        self, site: Site, uploader: KeyedSession, talk: bytes
    ) -> None:
        path = begin(uploader, len(talk))
        append(uploader, path, 0, talk[:40_000])
        before = time.time() - processor.KEEP_SECONDS - 60
        os.utime(site.spool / id_of(path), (before, before))
        failed = ended(uploader, id_of(path))
        assert failed["error"] == "It was not continued for 3 days; send it again."
        until(lambda: not site.spooled())
        assert append(uploader, path, 40_000, talk[40_000:]).status_code == 410

    def test_it_is_removed_when_a_person_cancels_it(
        self, site: Site, uploader: KeyedSession, talk: bytes
    ) -> None:
        path = begin(uploader, len(talk))
        append(uploader, path, 0, talk[:40_000])
        assert uploader.delete(path).status_code == 204
        until(lambda: not site.spooled())
        assert append(uploader, path, 40_000, talk[40_000:]).status_code == 404

    def test_one_that_is_being_sent_ends_when_it_is_cancelled(
        self, site: Site, uploader: KeyedSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(incoming, "_PROGRESS_SECONDS", 0.0)
        path = begin(uploader, 4 * MB)
        with half_sent(site, path, bytes(MB), 4 * MB) as connection:
            until(lambda: upload_of(uploader, id_of(path))["received_bytes"])
            assert uploader.delete(path).status_code == 204
            connection.sendall(bytes(2 * MB))
            assert connection.recv(100).startswith(b"HTTP/1.1 410")
        assert uploader.get("/api/uploads").json()["uploads"] == []
        assert site.spooled() == []


def test_an_empty_file_fails_with_a_sentence(uploader: KeyedSession) -> None:
    assert "empty: 0 bytes" in ended(uploader, id_of(begin(uploader, 0)))["error"]


def test_another_coordinators_upload_is_left_to_it(
    site: Site, uploader: KeyedSession, tmp_path: Path
) -> None:
    path = begin(uploader, 10)
    with running_coordinator(site.database, tmp_path) as other, other.person() as person:
        answer = append(person, path, 0, b"x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "elsewhere")
    assert offset_of(uploader, path) == 0


def test_a_whole_file_is_cut_whose_last_answer_was_an_outage(
    site: Site, uploader: KeyedSession, talk: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sender learns from HEAD that all has come, and sends nothing more."""

    def is_away(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("away")

    path = begin(uploader, len(talk))
    with monkeypatch.context() as broken:
        broken.setattr(incoming.ContinuedFile, "_hand_over", is_away)
        assert append(uploader, path, 0, talk).status_code == 503
    assert offset_of(uploader, path) == len(talk)
    assert ended(uploader, id_of(path))["state"] == "done"
