"""The form of an upload: files, and options of their recordings."""

import http.client
import json
import subprocess
from pathlib import Path

import pytest
from bson import ObjectId

from stt.coordinator.uploads import form
from tests.support.coordinator_app import PEOPLES_KEY, KeyedSession
from tests.support.pace import until
from tests.support.recordings import babble, write_wav
from tests.support.upload_site import Site, ended, form_of, half_sent, send


def test_the_wishes_of_a_person_reach_the_recording(
    site: Site, uploader: KeyedSession, talk: bytes
) -> None:
    fields = {
        "language": "de", "prompt": "Ann Müller", "priority": "7", "model": "tiny",
        "hotwords": "Bo Li", "task": "translate",
    }  # fmt: skip
    [upload] = send(uploader, ("talk.wav", talk), fields=fields)
    done = ended(uploader, upload["id"])
    recording = site.database.recordings.find_one({"_id": ObjectId(done["source_id"])})
    assert recording is not None
    assert (recording["language"], recording["prompt"]) == ("de", "Ann Müller")
    assert (recording["priority"], recording["model"]) == (7, "tiny")
    assert (recording["hotwords"], recording["task"]) == ("Bo Li", "translate")


def test_channels_are_split_if_the_form_says_so(
    site: Site, uploader: KeyedSession, tmp_path: Path
) -> None:
    call = write_wav(tmp_path / "call.wav", babble(2), babble(2, seed=1)).read_bytes()
    [upload] = send(uploader, ("call.wav", call), fields={"channels": "split"})
    source_id = ended(uploader, upload["id"])["source_id"]
    recording = uploader.get(f"/api/recordings/{source_id}").json()
    assert (recording["channels"], recording["duration"]) == ("split", 2.0)
    chunks = uploader.get(f"/api/recordings/{source_id}/chunks").json()["chunks"]
    assert [chunk["channel"] for chunk in chunks] == [1, 2]
    answer = uploader.post("/upload?channels=stereo", files={"file": ("call.wav", call)})
    assert answer.status_code == 422
    assert "'mix' or 'split'" in answer.json()["error"]["message"]


def test_wishes_may_stand_in_the_address(site: Site, uploader: KeyedSession, talk: bytes) -> None:
    answer = uploader.post("/upload?language=fr&priority=-2", files={"file": ("talk.wav", talk)})
    done = ended(uploader, answer.json()["uploads"][0]["id"])
    recording = site.database.recordings.find_one({"_id": ObjectId(done["source_id"])})
    assert recording is not None
    assert (recording["language"], recording["priority"]) == ("fr", -2)


@pytest.mark.parametrize(
    ("given", "stored"),
    [("auto", None), ("", "fr"), ("German", "de"), ("pt-BR", "pt")],
)
def test_a_language_may_have_any_form_and_auto_goes_before_the_default(
    site: Site, uploader: KeyedSession, talk: bytes, given: str, stored: str | None
) -> None:
    assert uploader.patch("/api/options", json={"default_language": "French"}).ok
    [upload] = send(uploader, ("talk.wav", talk), fields={"language": given})
    done = ended(uploader, upload["id"])
    recording = site.database.recordings.find_one({"_id": ObjectId(done["source_id"])})
    assert recording is not None
    assert recording["language"] == stored
    assert uploader.patch("/api/options", json={"default_language": None}).ok


Part = tuple[str, tuple[str | None, str | bytes]]


def options_of(
    site: Site, uploader: KeyedSession, *parts: Part, query: str = ""
) -> list[tuple[str | None, int]]:
    """Send the parts of a form in this order; return language and priority of each recording."""
    answer = uploader.post(f"/upload{query}", files=list(parts))
    assert answer.status_code == 202, answer.text
    found = []
    for upload in answer.json()["uploads"]:
        done = ended(uploader, upload["id"])
        recording = site.database.recordings.find_one({"_id": ObjectId(done["source_id"])})
        assert recording is not None
        found.append((recording["language"], recording["priority"]))
    return found


def file(number: int, tmp_path: Path) -> Part:
    path = write_wav(tmp_path / f"{number}.wav", babble(1, number))
    return "file", (path.name, path.read_bytes())


def field(name: str, value: str) -> Part:
    return name, (None, value)


class TestFieldsBehindAFile:
    def test_they_are_for_it_as_curl_sends_them(
        self, site: Site, uploader: KeyedSession, tmp_path: Path
    ) -> None:
        path = write_wav(tmp_path / "x.wav", babble(1))
        form = ("-F", f"file=@{path}", "-F", "language=de", "-F", "priority=7")
        key = f"Authorization: Bearer {PEOPLES_KEY}"
        sent = subprocess.run(
            ["curl", "-sS", "-H", key, *form, f"{site.coordinator.url}/upload"],
            capture_output=True, timeout=60, check=True,
        )  # fmt: skip
        [upload] = json.loads(sent.stdout)["uploads"]
        done = ended(uploader, upload["id"])
        recording = site.database.recordings.find_one({"_id": ObjectId(done["source_id"])})
        assert recording is not None
        assert (recording["language"], recording["priority"]) == ("de", 7)

    def test_they_are_for_all_files_before_them_that_have_none(
        self, site: Site, uploader: KeyedSession, tmp_path: Path
    ) -> None:
        parts = [
            file(0, tmp_path), field("language", "de"), file(1, tmp_path), field("language", "fr"),
            file(2, tmp_path), field("priority", "3"),
        ]  # fmt: skip
        assert options_of(site, uploader, *parts) == [("de", 3), ("de", 3), ("fr", 3)]

    def test_they_go_before_those_in_the_address(
        self, site: Site, uploader: KeyedSession, tmp_path: Path
    ) -> None:
        parts = file(0, tmp_path), field("language", "de")
        assert options_of(site, uploader, *parts, query="?language=nl&priority=2") == [("de", 2)]

    @pytest.mark.parametrize(
        ("name", "value"), [("priority", "high"), ("language", "not a language!")]
    )
    def test_one_that_can_be_none_is_refused_with_the_files_that_it_is_for(
        self, site: Site, uploader: KeyedSession, tmp_path: Path, name: str, value: str
    ) -> None:
        before = field(name, "1" if name == "priority" else "de")
        parts = [file(0, tmp_path), field(name, value)]
        answer = uploader.post("/upload", files=parts)
        assert answer.status_code == 422
        assert name in answer.json()["error"]["message"]
        [upload] = uploader.get("/api/uploads").json()["uploads"]
        assert upload["state"] == "failed"
        assert uploader.post("/upload", files=[before, *parts]).status_code == 422
        newest = uploader.get("/api/uploads").json()["uploads"][0]
        assert ended(uploader, newest["id"])["state"] == "done"
        until(lambda: not site.spooled())


def test_a_field_that_means_nothing_is_warned_of(
    site: Site, uploader: KeyedSession, talk: bytes
) -> None:
    form = [field("lang", "de"), ("file", ("talk.wav", talk)), field("prio", "7")]
    answer = uploader.post("/upload?langauge=de&priority=1", files=form)
    assert answer.status_code == 202
    names = [warning.split("'")[1] for warning in answer.json()["warnings"]]
    assert names == ["langauge", "lang", "prio"]
    answer = uploader.post("/upload", files={"file": ("talk.wav", talk)}, data={"language": ""})
    assert answer.json()["warnings"] == []
    until(lambda: not site.spooled())


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
    site: Site, uploader: KeyedSession, talk: bytes, name: str, shown: str
) -> None:
    body, kind = form_of(name.replace('"', "%22").encode(), talk)
    [upload] = uploader.post("/upload", data=body, headers={"Content-Type": kind}).json()["uploads"]
    done = ended(uploader, upload["id"])
    assert done["filename"] == shown
    recording = site.database.recordings.find_one({"_id": ObjectId(done["source_id"])})
    assert recording is not None
    assert recording["filename"] == shown


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"language": "klingon"}, "language"),
        ({"model": "../../etc/passwd x"}, "model"),
        ({"task": "sing"}, "task"),
        ({"hotwords": "x" * 10_001}, "hotwords"),
        ({"priority": "high"}, "priority"),
        ({"priority": str(10**12)}, "priority"),
    ],
    ids=["language", "model", "task", "hotwords", "priority", "huge priority"],
)
def test_a_wish_that_can_be_none_is_refused(
    site: Site, uploader: KeyedSession, talk: bytes, fields: dict[str, str], word: str
) -> None:
    answer = uploader.post("/upload", data=fields, files={"file": ("talk.wav", talk)})
    assert answer.status_code == 422
    assert word in answer.json()["error"]["message"]
    assert uploader.get("/api/uploads").json()["uploads"] == []


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
    uploader: KeyedSession, body: bytes, kind: str
) -> None:
    answer = uploader.post("/upload", data=body, headers={"Content-Type": kind})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == "bad_request"


def test_too_many_files_at_once_are_refused(
    uploader: KeyedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(form, "MAX_FILES", 2)
    files = [("file", (f"{n}.wav", b"x")) for n in range(3)]
    answer = uploader.post("/upload", files=files)
    assert answer.status_code == 413
    assert len(uploader.get("/api/uploads").json()["uploads"]) == 2


def test_fields_without_measure_are_refused(uploader: KeyedSession, talk: bytes) -> None:
    answer = uploader.post(
        "/upload", data={"prompt": "x" * 200_000}, files={"file": ("talk.wav", talk)}
    )
    assert answer.status_code == 413


def test_a_client_that_falls_silent_is_told_so(
    site: Site, uploader: KeyedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(form, "_STALL_SECONDS", 0.3)
    with half_sent(site) as connection:
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == 408
    [upload] = uploader.get("/api/uploads").json()["uploads"]
    assert upload["state"] == "failed"
    assert site.spooled() == []
