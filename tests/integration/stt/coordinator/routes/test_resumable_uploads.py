"""The forms of tus: headers, statuses, and what is not tus."""

import pytest

from tests.support.coordinator_app import KeyedSession
from tests.support.tus import PART, TUS, append, begin, create
from tests.support.upload_site import Site


def test_what_is_spoken_can_be_asked(uploader: KeyedSession) -> None:
    answer = uploader.options("/api/uploads")
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Extension"] == "creation,expiration,termination"
    assert answer.headers["Tus-Max-Size"] == str(4096 * 1024**2)


def test_an_upload_has_a_path_a_length_and_an_end_of_its_time(uploader: KeyedSession) -> None:
    path = begin(uploader, 1_000)
    head = uploader.head(path, headers=TUS)
    assert (head.headers["Upload-Offset"], head.headers["Upload-Length"]) == ("0", "1000")
    assert (head.headers["Cache-Control"], head.headers["Tus-Resumable"]) == ("no-store", "1.0.0")
    assert append(uploader, path, 0, b"RIFF").headers["Upload-Expires"].endswith("GMT")


def test_more_than_a_megabyte_is_taken_at_once(uploader: KeyedSession) -> None:
    path = begin(uploader, 3_000_000)
    assert append(uploader, path, 0, bytes(2_000_000)).headers["Upload-Offset"] == "2000000"


@pytest.mark.parametrize("headers", [{}, {"Tus-Resumable": "0.2.2"}])
def test_another_version_is_refused(uploader: KeyedSession, headers: dict[str, str]) -> None:
    answer = uploader.post("/api/uploads", headers={**headers, "Upload-Length": "10"})
    assert (answer.status_code, answer.headers["Tus-Version"]) == (412, "1.0.0")
    assert answer.json()["error"]["code"] == "version"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Upload-Length": "10"}, 400),
        ({"Upload-Length": "10", "Upload-Metadata": "filename *"}, 400),
        ({"Upload-Length": "10", "Upload-Metadata": "filename /w=="}, 400),
        ({"Upload-Length": "10", "Upload-Metadata": "filename \xe9"}, 400),
        ({"Upload-Length": "-1", "Upload-Metadata": "filename YQ=="}, 422),
        ({"Upload-Length": "ten", "Upload-Metadata": "filename YQ=="}, 422),
        ({"Upload-Defer-Length": "1", "Upload-Metadata": "filename YQ=="}, 422),
    ],
)
def test_what_cannot_be_begun_is_refused(
    site: Site, uploader: KeyedSession, headers: dict[str, str], status: int
) -> None:
    before = site.spooled()
    answer = uploader.post("/api/uploads", headers={**TUS, **headers})
    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert site.spooled() == before


def test_speakers_are_found_if_an_upload_asks_for_them(site: Site, uploader: KeyedSession) -> None:
    begin(uploader, 10, speakers="auto", max_speakers="4")
    upload = site.database.uploads.find_one({})
    assert upload is not None
    assert (upload["options"]["speakers"], upload["options"]["max_speakers"]) == (0, 4)
    assert create(uploader, 10, speakers="many").status_code == 422


def test_an_option_that_is_none_is_refused(uploader: KeyedSession) -> None:
    headers = {**TUS, "Upload-Length": "10", "Upload-Metadata": "filename YQ=="}
    for query in ({"language": "xx"}, {"priority": "high"}):
        assert uploader.post("/api/uploads", headers=headers, params=query).status_code == 422


def test_another_type_of_body_is_refused(uploader: KeyedSession) -> None:
    path = begin(uploader, 10)
    headers = {**PART, "Content-Type": "audio/wav", "Upload-Offset": "0"}
    answer = uploader.patch(path, data=b"RIFF", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "media_type")


def test_an_upload_that_is_not_there_is_not_found(uploader: KeyedSession) -> None:
    path = "/api/uploads/" + "0" * 24
    assert uploader.head(path, headers=TUS).status_code == 404
    assert append(uploader, path, 0, b"x").status_code == 404


def test_a_node_may_not_upload(site: Site) -> None:
    _, key = site.coordinator.join()
    with site.coordinator.node(key) as node:
        headers = {**TUS, "Upload-Length": "10", "Upload-Metadata": "filename YQ=="}
        assert node.post("/api/uploads", headers=headers).status_code == 403
        assert node.head("/api/uploads/" + "0" * 24, headers=TUS).status_code == 403
