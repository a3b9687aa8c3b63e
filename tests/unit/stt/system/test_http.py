import gzip
import itertools
import time
from collections.abc import Iterable

import pytest
import requests
from urllib3.exceptions import HTTPError

from stt.errors import DatabaseUnavailable
from stt.system.http import Answer, UnreadableAnswer, fetch, http_session, read_json, reason_of
from tests.support.mongo_process import free_port
from tests.support.raw_server import RawServer, answer_of
from tests.support.scripted_server import Answer as ScriptedAnswer
from tests.support.scripted_server import ScriptedServer, always

HEAD = b"HTTP/1.1 200 OK\r\n"
TRICKLE_SECONDS = 0.05
LONG_SECONDS = 60.0


def failed_request() -> Exception:
    url = f"http://127.0.0.1:{free_port()}"
    with http_session(url) as session, pytest.raises(requests.RequestException) as failure:
        session.get(url)
    return failure.value


def fetched(answer: Iterable[bytes], pause_seconds: float = 0.0, **limits: float) -> Answer:
    with (
        RawServer(answer, pause_seconds).running() as server,
        http_session(server.url, "secret") as session,
    ):
        limits = {"timeout": LONG_SECONDS, "total_seconds": LONG_SECONDS, **limits}
        return fetch(session, "GET", server.url, **limits)  # type: ignore[arg-type]


def test_the_reason_is_the_system_s_own_word() -> None:
    assert reason_of(failed_request()) == "Connection refused"
    assert reason_of(requests.ReadTimeout("HTTPConnectionPool(...)")) == "no answer in time"


def test_a_reason_is_not_that_of_an_error_that_was_handled_meanwhile() -> None:
    error, earlier = requests.ConnectionError("cut off"), DatabaseUnavailable("an hour ago")
    error.__context__, earlier.__cause__ = earlier, OSError(1, "something else")
    assert reason_of(error) == "cut off"


def test_an_error_that_causes_itself_has_a_reason() -> None:
    outer, inner = requests.ConnectionError("outer"), ValueError("inner")
    outer.__context__, inner.__cause__ = inner, outer
    assert reason_of(outer) == "inner"


def test_an_answer_is_read_whole_and_asked_for_without_compression() -> None:
    with (
        RawServer([answer_of(b'{"a": 1}', status="404 Gone Away")]).running() as server,
        http_session(server.url, "secret") as session,
    ):
        answer = fetch(session, "GET", server.url, timeout=LONG_SECONDS, total_seconds=LONG_SECONDS)
    assert (answer.status, answer.reason, answer.json()) == (404, "Gone Away", {"a": 1})
    assert b"Accept-Encoding: identity\r\n" in server.requests[0]
    assert b"Authorization: Bearer secret\r\n" in server.requests[0]


def test_an_answer_that_is_larger_than_its_bound_is_not_read_on() -> None:
    endless = itertools.chain([HEAD + b"\r\n"], itertools.repeat(b"x" * 65_536))
    with pytest.raises(UnreadableAnswer, match="larger than 1,024 kB"):
        fetched(endless, max_bytes=1024 * 1024)


def test_a_compressed_answer_is_refused_unread() -> None:
    bomb = gzip.compress(bytes(10_000_000))
    with pytest.raises(UnreadableAnswer, match=r"compressed \(gzip\)"):
        fetched([answer_of(bomb, "Content-Encoding: gzip")])
    assert fetched([answer_of(b"as it is", "Content-Encoding: identity")]).body == b"as it is"


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with RawServer([answer_of(b"elsewhere")]).running() as other:
        found = fetched([answer_of(b"", f"Location: {other.url}/", status="307 Moved")])
    assert found.status == 307
    assert other.requests == []


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (HEAD + b"\r\n", b"x"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
        (HEAD + b"X-Long: ", b"x"),
        (HEAD[:5], b"1"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["body", "chunk", "header", "status", "continue"],
)
def test_an_answer_that_trickles_for_ever_ends_in_time(first: bytes, then: bytes) -> None:
    began = time.monotonic()
    with pytest.raises((requests.ReadTimeout, HTTPError)) as failure:
        fetched(
            itertools.chain([first], itertools.repeat(then)), TRICKLE_SECONDS, total_seconds=0.5
        )
    assert isinstance(failure.value, requests.ReadTimeout)
    assert time.monotonic() - began < LONG_SECONDS / 2


def test_an_answer_in_time_is_not_ended() -> None:
    parts = [HEAD + b"Content-Length: 3\r\n\r\n", b"a", b"b", b"c"]
    assert fetched(parts, TRICKLE_SECONDS).body == b"abc"


def test_a_connection_that_was_kept_ends_with_the_limit_of_its_latest_request() -> None:
    with (
        ScriptedServer(always()).running() as server,
        http_session(server.url) as session,
    ):
        fetch(session, "GET", server.url, timeout=LONG_SECONDS, total_seconds=LONG_SECONDS)
        server.ready = ScriptedAnswer(body="x" * 10_000, drip_seconds=TRICKLE_SECONDS)
        began = time.monotonic()
        with pytest.raises(requests.ReadTimeout):
            fetch(session, "GET", server.url, timeout=LONG_SECONDS, total_seconds=0.5)
    assert time.monotonic() - began < LONG_SECONDS / 2


def test_json_that_is_nested_too_deeply_is_a_value_error() -> None:
    assert read_json(b'{"a": [1]}') == {"a": [1]}
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json("[" * 200_000)
