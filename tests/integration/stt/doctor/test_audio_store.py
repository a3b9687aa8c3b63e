"""The audio store is checked with a small object, of which nothing stays."""

import importlib.util
from typing import Any

import pytest

from stt.doctor.audio_store import audio_store_findings
from stt.doctor.checks import Finding
from stt.doctor.diagnosis import diagnose
from stt.errors import AudioStoreRefused, AudioStoreUnavailable
from stt.settings import load_settings
from stt.store import object_store
from stt.store.object_store import ObjectStore
from tests.support.s3_server import STORE, S3Server


def checked(**flags: Any) -> list[Finding]:
    return list(audio_store_findings(load_settings(**flags)))


def test_nothing_is_said_where_audio_is_in_the_database() -> None:
    assert checked() == []


def test_a_store_that_is_well_is_left_as_it_was(s3: S3Server) -> None:
    (finding,) = checked(audio_store=STORE)
    assert (finding.state, STORE in finding.message) == ("ok", True)
    assert s3.stored() == []


def test_sources_are_read_and_not_written(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(ObjectStore, "put")
    (finding,) = checked(audio_sources=("s3://audio/theirs",))
    assert (finding.state, finding.message) == ("ok", "s3://audio/theirs can be read")
    (finding,) = checked(audio_sources=("s3://no-such-bucket/theirs",))
    assert (finding.state, finding.exit_code) == ("problem", 3)


def test_a_wrong_bucket_is_named(s3: S3Server) -> None:
    (finding,) = checked(audio_store="s3://no-such-bucket/stt")
    assert (finding.state, finding.exit_code) == ("problem", 3)
    assert "there is no such bucket; make it, or name another" in finding.message


def test_credentials_without_any_right(s3: S3Server) -> None:
    s3.check_keys()
    (finding,) = checked(audio_store=STORE)
    assert (finding.state, finding.exit_code) == ("problem", 3)
    assert "check the credentials" in finding.message


@pytest.mark.parametrize(
    ("step", "right"),
    [("put", "PutObject"), ("get", "GetObject"), ("find", "ListBucket"),
     ("delete", "DeleteObject")],
)  # fmt: skip
def test_each_right_that_is_missing_is_named(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, step: str, right: str
) -> None:
    def refuse(*_: object) -> None:
        raise AudioStoreRefused("S3 refuses s3://audio/stt: AccessDenied (403); check the rights")

    monkeypatch.setattr(ObjectStore, step, refuse)
    (finding,) = checked(audio_store=STORE)
    assert (finding.state, finding.exit_code) == ("problem", 3)
    assert f"s3:{right}" in finding.advice
    assert len(s3.stored()) == (step == "delete")


def test_boto3_that_is_missing_is_said_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(object_store, "find_spec", lambda n: None if n == "boto3" else find(n))
    with pytest.raises(AudioStoreRefused, match=r"pip install 'stt-fleet\[s3\]'"):
        checked(audio_store=STORE)


def test_a_store_that_does_not_answer_is_one_line_of_the_diagnosis(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "_MAX_TRIES", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(AudioStoreUnavailable):
        checked(audio_store=STORE)
    flags = {"audio_store": STORE, "server_urls": ("http://127.0.0.1:9",)}
    found = [each for each in diagnose(flags, 60.0) if each.check == "audio store"]
    (finding,) = found
    assert (finding.state, finding.exit_code) == ("problem", 4)
    assert "AWS_ENDPOINT_URL_S3" in finding.advice
