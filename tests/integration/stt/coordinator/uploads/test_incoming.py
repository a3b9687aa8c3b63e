"""An upload while it is received: too large, too much for the disk, broken off, cancelled."""

import pytest

from stt.coordinator.uploads import incoming
from stt.coordinator.uploads.incoming import BROKE_OFF
from tests.support.coordinator_app import KeyedSession
from tests.support.pace import until
from tests.support.upload_site import Site, ended, form_of, half_sent, option


def test_a_form_that_ends_in_the_middle_of_a_file_leaves_no_half(
    site: Site, uploader: KeyedSession, talk: bytes
) -> None:
    body, kind = form_of(b"talk.wav", talk)
    answer = uploader.post("/upload", data=body[:30_000], headers={"Content-Type": kind})
    assert answer.status_code == 400
    [upload] = uploader.get("/api/uploads").json()["uploads"]
    assert upload["state"] == "failed"
    assert site.spooled() == []


def test_a_file_that_is_too_large_is_refused_and_the_one_before_it_taken(
    site: Site, uploader: KeyedSession, talk: bytes
) -> None:
    with option(uploader, "max_upload_mb", 1):
        large = bytes(1024 * 1024 + 1)
        answer = uploader.post(
            "/upload",
            files=[("file", ("talk.wav", talk)), ("file", ("large.wav", large))],
        )
    assert answer.status_code == 413
    assert "larger than 1 MB" in answer.json()["error"]["message"]
    uploads = {u["filename"]: u for u in uploader.get("/api/uploads").json()["uploads"]}
    assert ended(uploader, uploads["talk.wav"]["id"])["state"] == "done"
    assert uploads["large.wav"]["state"] == "failed"
    assert "larger than 1 MB" in uploads["large.wav"]["error"]


def test_a_disk_that_is_nearly_full_refuses_before_anything_is_sent(
    site: Site, uploader: KeyedSession, talk: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stt.coordinator.uploads.spool.RESERVE_BYTES", 2**62)
    answer = uploader.post("/upload", files={"file": ("talk.wav", talk)})
    assert answer.status_code == 507
    assert answer.json()["error"]["code"] == "out_of_space"
    assert uploader.get("/api/uploads").json()["uploads"] == []


def test_a_disk_that_fills_up_meanwhile_refuses_and_removes_the_half(
    site: Site, uploader: KeyedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([2**40, 2**40, 2**40])
    monkeypatch.setattr(site.processor.spool, "free_bytes", lambda: next(free, 0))
    answer = uploader.post("/upload", files={"file": ("large.wav", bytes(4 * 1024 * 1024))})
    assert answer.status_code == 507
    [upload] = uploader.get("/api/uploads").json()["uploads"]
    assert (upload["state"], "full" in upload["error"]) == ("failed", True)
    assert site.spooled() == []


def test_a_client_that_hangs_up_leaves_no_half(site: Site, uploader: KeyedSession) -> None:
    with half_sent(site):
        [upload] = until(lambda: uploader.get("/api/uploads").json()["uploads"])
        assert upload["state"] == "receiving"
    failed = ended(uploader, upload["id"])
    assert (failed["state"], failed["error"]) == ("failed", BROKE_OFF)
    until(lambda: not site.spooled())


def test_an_upload_that_is_being_received_can_be_cancelled(
    site: Site, uploader: KeyedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "_PROGRESS_SECONDS", 0.0)
    with half_sent(site) as connection:
        until(lambda: uploader.get("/api/uploads").json()["uploads"])
        [upload] = uploader.get("/api/uploads").json()["uploads"]
        assert uploader.delete(f"/api/uploads/{upload['id']}").status_code == 204
        connection.sendall(bytes(2_000_000))
        until(lambda: not site.spooled())
    assert uploader.get("/api/uploads").json()["uploads"] == []
    assert uploader.delete(f"/api/uploads/{upload['id']}").status_code == 404


def test_progress_of_what_is_received_can_be_watched(
    site: Site, uploader: KeyedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "_PROGRESS_SECONDS", 0.0)
    with half_sent(site, size=8_000_000):
        upload = until(
            lambda: [
                u
                for u in uploader.get("/api/uploads").json()["uploads"]
                if u["received_bytes"] >= 3_000_000
            ]
        )[0]
        assert upload["bytes"] == pytest.approx(8_000_000, rel=0.1)
