"""Objects on a real S3 server, and what its faults mean to the caller."""

import importlib.util
import sys
from typing import Any

import pytest

from stt.errors import (
    AudioNotAllowed,
    AudioStoreRefused,
    AudioStoreUnavailable,
    BadAudio,
    ConfigError,
    DatabaseUnavailable,
)
from stt.settings import load_settings
from stt.store import object_store
from stt.store.object_store import AudioPlaces, ObjectStore
from stt.system.s3_url import S3Url
from tests.support import s3_server
from tests.support.raw_server import RawServer, answer_of
from tests.support.s3_server import BUCKET, STORE, S3Server

PLACE = S3Url.parse(STORE)


def store_at(place: str = STORE, *sources: str) -> ObjectStore:
    return ObjectStore(AudioPlaces(S3Url.parse(place), tuple(map(S3Url.parse, sources))))


@pytest.fixture
def store(s3: S3Server) -> ObjectStore:
    return store_at()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "_MAX_TRIES", 1)
    monkeypatch.setattr(object_store, "_CONNECT_SECONDS", 1.0)
    monkeypatch.setattr(object_store, "_READ_SECONDS", 1.0)


class TestObjects:
    def test_what_was_written_is_read_and_found_until_it_is_deleted(
        self, store: ObjectStore, s3: S3Server
    ) -> None:
        urls = [PLACE / "a b" / f"{number}.opus" for number in range(6)]
        store.put([(url, b"opus %d" % number) for number, url in enumerate(urls)])
        assert store.get(str(urls[4])) == b"opus 4"
        assert {found.url for found in store.find(PLACE / "a b")} == set(urls)
        assert {found.bytes for found in store.find(PLACE)} == {6}
        store.delete(urls[:5])
        store.delete(urls[:5])  # gone already
        assert s3.stored() == ["stt/a b/5.opus"]

    def test_writing_again_replaces(self, store: ObjectStore) -> None:
        url = PLACE / "a.opus"
        store.put([(url, b"first")])
        store.put([(url, b"second")])
        assert store.get(str(url)) == b"second"

    def test_more_are_deleted_than_one_request_takes(
        self, store: ObjectStore, s3: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(object_store, "_DELETE_BATCH", 2)
        urls = [PLACE / f"{number}" for number in range(5)]
        store.put([(url, b"x") for url in urls])
        store.delete(urls)
        assert s3.stored() == []

    def test_a_folder_does_not_hold_what_lies_beside_it(self, store: ObjectStore) -> None:
        store.put([(S3Url(BUCKET, "stt-other/a"), b"x")])
        assert list(store.find(PLACE)) == []


class TestWhatMayBeRead:
    @pytest.mark.parametrize(
        "url", ["s3://other/stt/a", "s3://audio/secret/a", "s3://audio/stt2/a", "s3://audio/stt"]
    )
    def test_a_place_that_no_setting_names_is_not_read(self, store: ObjectStore, url: str) -> None:
        with pytest.raises(AudioNotAllowed, match="STT_AUDIO_SOURCES"):
            store.get(url)

    @pytest.mark.parametrize(
        "url", ["https://example.org/a", "file:///etc/passwd", "s3://audio/stt/../b"]
    )
    def test_only_s3_is_read(self, store: ObjectStore, url: str) -> None:
        with pytest.raises(BadAudio, match="audio_url"):
            store.get(url)

    def test_another_place_is_read_once_it_is_named(self, s3: S3Server) -> None:
        s3.client.put_object(Bucket=BUCKET, Key="theirs/a.wav", Body=b"wav")
        assert store_at(STORE, "s3://audio/theirs").get("s3://audio/theirs/a.wav") == b"wav"

    def test_without_a_setting_nothing_is(self, s3: S3Server) -> None:
        with pytest.raises(AudioNotAllowed):
            ObjectStore(object_store.IN_DATABASE).get("s3://audio/stt/a")

    def test_places_come_from_the_settings(self) -> None:
        settings = load_settings(audio_store=STORE, audio_sources=("s3://a1b/", "s3://audio/x"))
        assert AudioPlaces.of(settings).allow(S3Url.parse("s3://a1b/c"))
        assert AudioPlaces.of(load_settings()) == object_store.IN_DATABASE

    def test_an_object_that_no_chunk_can_be_is_not_read(
        self, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(object_store, "MAX_OBJECT_BYTES", 4)
        store.put([(PLACE / "a", b"12345")])
        with pytest.raises(BadAudio, match="too large"):
            store.get(str(PLACE / "a"))


class TestFaults:
    def test_an_object_that_is_missing_is_the_chunks_own_fault(self, store: ObjectStore) -> None:
        with pytest.raises(BadAudio, match="there is no object s3://audio/stt/a"):
            store.get(str(PLACE / "a"))

    @pytest.mark.usefixtures("impatient")
    @pytest.mark.parametrize("status", [500, 503, 599])
    @pytest.mark.parametrize("knows_another", [True, False])
    def test_an_object_that_it_fails_on_while_it_reads_others_is_the_chunks_own_fault(
        self, s3: S3Server, monkeypatch: pytest.MonkeyPatch, status: int, knows_another: bool
    ) -> None:
        bad, good = PLACE / "r" / "0.opus", PLACE / "r" / "1.opus"
        asked = s3_server.fail_on(monkeypatch, bad.key, status, "InternalError")
        store = store_at()
        store.put([(bad, b"bad"), (good, b"good")])
        if knows_another:
            store.get(str(good))
        asked.clear()
        with pytest.raises(BadAudio, match=f"{bad}: S3 answers {status}.*reads other objects"):
            store.get(str(bad))
        assert asked == [bad.key, good.key, bad.key]

    @pytest.mark.usefixtures("impatient")
    @pytest.mark.parametrize("code", ["SlowDown", "InternalError"])
    def test_an_object_without_another_that_it_reads_and_a_throttled_one_are_an_outage(
        self, s3: S3Server, monkeypatch: pytest.MonkeyPatch, code: str
    ) -> None:
        bad = PLACE / "r" / "0.opus"
        s3_server.fail_on(monkeypatch, bad.key, 503, code)
        store = store_at()
        store.put([(bad, b"bad")])
        if code == "SlowDown":
            good = PLACE / "r" / "1.opus"
            store.put([(good, b"good")])
            store.get(str(good))
        with pytest.raises(AudioStoreUnavailable, match=f"503 .{code}"):
            store.get(str(bad))

    def test_a_bucket_that_is_missing_is_a_setting(self, s3: S3Server) -> None:
        store = store_at("s3://no-bucket")
        for act in (
            lambda: store.get("s3://no-bucket/a"),
            lambda: store.put([(S3Url("no-bucket", "a"), b"x")]),
            lambda: list(store.find(S3Url("no-bucket", ""))),
        ):
            with pytest.raises(AudioStoreRefused, match="there is no such bucket"):
                act()

    def test_wrong_keys_are_a_setting(self, store: ObjectStore, s3: S3Server) -> None:
        s3.check_keys()
        with pytest.raises(ConfigError, match=r"S3 refuses s3://audio/stt/a: \w+ \(403\)") as wrong:
            store.get(str(PLACE / "a"))
        assert "secret" not in str(wrong.value)

    def test_no_keys_are_a_setting(
        self, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(AudioStoreRefused, match="credentials"):
            store.get(str(PLACE / "a"))

    @pytest.mark.parametrize(
        ("name", "value"), [("AWS_ENDPOINT_URL_S3", "nonsense"), ("AWS_PROFILE", "nobody")]
    )
    def test_a_wrong_setting_of_aws_is_one_line(
        self, store: ObjectStore, monkeypatch: pytest.MonkeyPatch, name: str, value: str
    ) -> None:
        monkeypatch.setenv(name, value)
        with pytest.raises(AudioStoreRefused, match=value):
            store.get(str(PLACE / "a"))

    @pytest.mark.usefixtures("impatient")
    def test_a_server_that_is_down_or_hangs_is_an_outage(self) -> None:
        def check(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
            s3_server.use(server, monkeypatch)
            store = store_at()
            store.put([(PLACE / "a", b"x")])
            server.pause()
            with pytest.raises(AudioStoreUnavailable, match="does not answer"):
                store.get(str(PLACE / "a"))
            server.resume()
            assert store.get(str(PLACE / "a")) == b"x"
            server.stop()
            with pytest.raises(DatabaseUnavailable, match="does not answer"):
                store.get(str(PLACE / "a"))

        with s3_server.running_s3() as server, pytest.MonkeyPatch.context() as monkeypatch:
            check(server, monkeypatch)

    @pytest.mark.usefixtures("impatient")
    @pytest.mark.parametrize(
        "answer",
        [
            answer_of(b"", status="503 Slow Down"),
            answer_of(b"<html>", status="500 Oops"),
            answer_of(b"0123456789")[:-5],  # the connection ends within the object
        ],
    )
    def test_an_answer_that_is_none_is_an_outage(
        self, s3: S3Server, monkeypatch: pytest.MonkeyPatch, answer: bytes
    ) -> None:
        with RawServer([answer]).running() as server:
            monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
            with pytest.raises(AudioStoreUnavailable):
                store_at().get(str(PLACE / "a"))

    def test_without_boto3_the_extra_is_named(
        self, s3: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def find_spec(name: str) -> Any:
            return None if name == "boto3" else importlib.util.find_spec(name)

        monkeypatch.setattr(object_store, "find_spec", find_spec)
        monkeypatch.setitem(sys.modules, "boto3", None)
        with pytest.raises(AudioStoreRefused, match=r"pip install 'stt-fleet\[s3\]'"):
            store_at().check_installed()
        with pytest.raises(AudioStoreRefused, match=r"pip install 'stt-fleet\[s3\]'"):
            store_at().get(str(PLACE / "a"))
        ObjectStore(object_store.IN_DATABASE).check_installed()
