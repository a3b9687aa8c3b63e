"""One call: odd answers become errors of ours, without the key."""

import contextlib
import gzip
import logging
import re
import time
from dataclasses import replace

import pytest

from stt.errors import (
    ConfigError,
    NoTranscript,
    ServerBusy,
    ServerUnavailable,
)
from stt.whisper.client import Readiness, WhisperClient
from tests.support.pool_calls import KEY, UPLOAD
from tests.support.scripted_server import Answer, ScriptedServer, always, refusal


def answering(answer: Answer) -> contextlib.AbstractContextManager[ScriptedServer]:
    return ScriptedServer(lambda number, upload: answer).running()


class TestOddServers:
    def test_ready_has_its_time_however_slowly_it_comes(self) -> None:
        drip = Answer(body={"capacity": 4, "more": "x" * 400}, drip_seconds=0.3)  # two minutes
        with ScriptedServer(always(), ready=drip).running() as server:
            began = time.monotonic()
            with pytest.raises(ServerUnavailable):
                WhisperClient(server.url, KEY, None).ready(0.5)
            assert time.monotonic() - began < 60

    def test_a_redirection_is_a_wrong_setting_and_takes_no_key_elsewhere(self) -> None:
        moved = Answer(308, {}, {"Location": "https://elsewhere.example/v1"})
        with (
            answering(moved) as server,
            pytest.raises(ConfigError, match=r"redirects to https://elsewhere\.example"),
        ):
            WhisperClient(server.url, KEY, None).transcribe(UPLOAD, 5.0)

    def test_a_server_that_does_not_know_its_name_is_a_wrong_setting(self) -> None:
        refused = refusal(
            421, "This server has no key: add it to ALLOWED_HOSTS", code="foreign_host"
        )
        with answering(refused) as server, pytest.raises(ConfigError, match="ALLOWED_HOSTS"):
            WhisperClient(server.url, KEY, None).transcribe(UPLOAD, 5.0)

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (Answer(200, gzip.compress(bytes(5_000_000)), {"Content-Encoding": "gzip"}), "gzip"),
            (Answer(200, bytes(2_000_000)), "larger than"),
            (Answer(400, bytes(2_000_000)), "larger than"),
            (Answer(200, b"[" * 500_000), "does not answer like a Whisper server"),
        ],
        ids=["compressed", "large", "large-error", "nested"],
    )
    def test_an_answer_that_would_fill_the_memory_is_no_transcript(
        self, answer: Answer, reason: str
    ) -> None:
        with answering(answer) as server, pytest.raises(NoTranscript, match=reason):
            WhisperClient(server.url, KEY, None).transcribe(UPLOAD, 30.0)

    @pytest.mark.parametrize(
        "ready",
        [Answer(200, bytes(2_000_000)), Answer(200, b"{}", {"Content-Encoding": "br"})],
        ids=["large", "compressed"],
    )
    def test_a_readiness_that_would_fill_the_memory_is_none(self, ready: Answer) -> None:
        with (
            ScriptedServer(always(), ready=ready).running() as server,
            pytest.raises(ServerUnavailable, match="the answer is"),
        ):
            WhisperClient(server.url, KEY, None).ready()

    def test_a_readiness_elsewhere_is_not_asked_for(self) -> None:
        with ScriptedServer(always(), ready=Answer(body={"capacity": 9})).running() as other:
            moved = Answer(307, {}, {"Location": f"{other.url}/ready"})
            with ScriptedServer(always(), ready=moved).running() as server:
                assert WhisperClient(server.url, KEY, None).ready() == Readiness()

    def test_a_host_that_cannot_be_one_is_unreachable(self) -> None:
        with pytest.raises(ServerUnavailable):
            WhisperClient("http://a..b:8081", KEY, None).ready()


class TestSpeakers:
    @pytest.mark.parametrize(
        ("headers", "reason"),
        [
            ({"Warning": '299 - "the speakers could not be found (OSError)"'}, r"\(OSError\)"),
            ({}, "it does not look for them"),
        ],
    )
    def test_a_transcript_without_those_that_were_asked_for_is_logged_with_the_reason(
        self, headers: dict[str, str], reason: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING)
        with answering(Answer(200, {"text": "hello"}, headers)) as server:
            client = WhisperClient(server.url, KEY, None)
            assert client.transcribe(UPLOAD, 5.0).speakers is None
            assert not caplog.messages, "they were not asked for"
            asked = client.transcribe(replace(UPLOAD, wants_speakers=True), 5.0)
            assert asked.speakers is None
            (message,) = caplog.messages
            client.transcribe(replace(UPLOAD, wants_speakers=True), 5.0)
        assert len(caplog.messages) == 1 + bool(headers), "what it says, each time"
        assert re.search(f"{server.url} gave a transcript without speakers: .*{reason}", message)

    def test_a_list_is_taken_though_it_is_empty(self, caplog: pytest.LogCaptureFixture) -> None:
        with answering(Answer(200, {"text": "hello", "speakers": []})) as server:
            asked = replace(UPLOAD, wants_speakers=True)
            assert WhisperClient(server.url, KEY, None).transcribe(asked, 5.0).speakers == ()
        assert not caplog.messages


class TestSecrets:
    """A server may repeat the whole request in what it answers; the key goes no further."""

    FORMS = (KEY, "key&lt;&amp;&gt;/0123456789", "key%3C%26%3E/0123456789")

    def answers(self) -> list[Answer]:
        said = " ".join(f"Authorization: Bearer {form}" for form in self.FORMS)
        page = f"<html>{'x' * 190}{said}</html>".encode()
        echoes = [refusal(status, said) for status in (400, 401, 403, 404, 429, 500, 502, 503)]
        pages = [Answer(status, page) for status in (200, 400, 500, 502, 504)]
        return [*echoes, *pages, Answer(body={"text": [said]}), Answer(301, page)]

    def test_no_error_holds_the_key_whatever_the_server_repeats(self) -> None:
        messages = []
        for answer in self.answers():
            with answering(answer) as server:
                client = WhisperClient(server.url, KEY, None)
                with pytest.raises(Exception, match="http") as failed:
                    client.transcribe(UPLOAD, 5.0)
                error: BaseException | None = failed.value
                while error is not None:
                    messages.append(f"{error} {error!r}")
                    error = error.__cause__
        assert len(messages) >= 15
        for form in (*self.FORMS, KEY[:8]):
            assert form not in "\n".join(messages)

    def test_odd_answers_are_errors_of_ours(self) -> None:
        deep = Answer(body=b"[" * 100_000)
        with ScriptedServer(lambda n, u: deep, ready=deep).running() as server:
            client = WhisperClient(server.url, KEY, None)
            assert client.ready().capacity is None
            with pytest.raises(NoTranscript):
                client.transcribe(UPLOAD, 5.0)
        never = Answer(503, {}, {"Retry-After": "nan"})
        with ScriptedServer(lambda n, u: never).running() as server:
            with pytest.raises(ServerBusy) as busy:
                WhisperClient(server.url, KEY, None).transcribe(UPLOAD, 5.0)
            assert busy.value.retry_after_seconds > 0
