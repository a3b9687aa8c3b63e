"""The pool of servers against scripted servers over real HTTP: who gets a call, who gets blamed."""

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from stt.domain.transcript import Transcript
from stt.errors import (
    ConfigError,
    NoTranscript,
    RequestRefused,
    ServerBusy,
    ServerDied,
    ServerFault,
    ServersBroken,
    ServerUnavailable,
)
from stt.whisper.client import Upload, WhisperClient
from stt.whisper.health import PoolRules
from stt.whisper.pool import ServerPool
from tests.support.mongo_process import free_port
from tests.support.scripted_server import Answer, ScriptedServer, always, heard, refusal

UPLOAD = Upload(b"OggS, as far as anybody here can tell", "chunk.ogg", 10.0)
OUT_OF_ORDER = refusal(500, "out of order")
KEY = "key<&>/0123456789"


def make_pool(*servers: ScriptedServer | str, limit: int = 4, **rules: float | None) -> ServerPool:
    urls = [server if isinstance(server, str) else server.url for server in servers]
    given = PoolRules(**({"canary_seconds": 2.0} | rules))  # type: ignore[arg-type]
    pool = ServerPool([WhisperClient(url, KEY, None) for url in urls], given)
    pool.tune(limit)
    return pool


def call(pool: ServerPool, seconds: float = 5.0, **options: Any) -> Transcript:
    answer = pool.transcribe(UPLOAD, seconds, lambda: True, **options)
    assert answer is not None
    return answer


def text(transcript: Transcript) -> str:
    return transcript.segments[0].text


@contextlib.contextmanager
def two_servers(first: Answer, second: Answer) -> Iterator[tuple[ScriptedServer, ScriptedServer]]:
    with (
        ScriptedServer(lambda number, upload: first).running() as one,
        ScriptedServer(lambda number, upload: second).running() as other,
    ):
        yield one, other


def answering(answer: Answer) -> contextlib.AbstractContextManager[ScriptedServer]:
    return ScriptedServer(lambda number, upload: answer).running()


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


@contextlib.contextmanager
def picky_proxy(most_bytes: int) -> Iterator[tuple[str, list[int]]]:
    """Resets the connection of an upload that is larger, while it is being sent; counts those."""
    refused = [0]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send({"capacity": 1})

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            if length > most_bytes:
                refused[0] += 1
                self.close_connection = True
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return
            self.rfile.read(length)
            self._send(heard("hello"))

        def _send(self, body: object) -> None:
            data = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}", refused
        http.shutdown()
        thread.join()


class TestDealing:
    def test_servers_of_different_speeds_get_work_in_proportion(self) -> None:
        ready = Answer(body={"capacity": 2})
        fast = Answer(body=heard("fast"), delay_seconds=0.04)
        slow = Answer(body=heard("slow"), delay_seconds=0.2)
        with (
            ScriptedServer(lambda n, u: slow, ready).running() as tortoise,
            ScriptedServer(lambda n, u: fast, ready).running() as hare,
        ):
            pool = make_pool(tortoise, hare)
            end = time.monotonic() + 1.6

            def work() -> None:
                while time.monotonic() < end:
                    call(pool)

            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(tortoise.calls) > 4
        assert 3 <= len(hare.calls) / len(tortoise.calls) <= 7

    def test_a_server_that_a_chunk_failed_on_is_avoided_while_there_is_another(self) -> None:
        with two_servers(Answer(body=heard("one")), Answer(body=heard("other"))) as (one, other):
            pool = make_pool(one, other)
            avoid = frozenset({one.url})
            assert {text(call(pool, avoid=avoid)) for _ in range(4)} == {"other"}
            assert text(call(make_pool(one), avoid=avoid)) == "one"

    def test_a_call_that_meets_a_dead_server_moves_to_another(self) -> None:
        with ScriptedServer(always("here")).running() as alive:
            with ScriptedServer(always("gone")).running() as dying:
                pool = make_pool(dying, alive)
            assert [text(call(pool)) for _ in range(4)] == ["here"] * 4


class TestAway:
    def test_all_servers_down_is_said_once_and_so_is_the_return(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", "stt")
        down = Answer(500, b"out of order")
        with ScriptedServer(always(), ready=down).running() as server:
            pool = make_pool(server, f"http://127.0.0.1:{free_port()}")
            waiting = threading.Thread(target=pool.wait_until_available, args=(threading.Event(),))
            waiting.start()
            waiting.join(1.5)
            assert waiting.is_alive()
            server.ready = Answer(body={"capacity": 2})
            waiting.join(6)
            assert not waiting.is_alive()
        said = [r.getMessage() for r in caplog.records if "stt" in r.name]
        assert [line.partition(" (")[0] for line in said] == [
            f"Whisper server is away: {server.url} answered 500",
            "No whisper server answers",
            f"Whisper server {server.url} answers again",
        ]
        assert f"({server.url} answered 500; http://127.0.0.1:" in said[1]
        assert said[1].endswith(
            "Connection refused): waits, holds no chunk, gives up after 5 min"
            " (--server-unreachable-minutes)"
        )

    def test_of_several_servers_each_that_goes_is_named_once_and_so_is_its_return(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", "stt")
        with two_servers(Answer(body=heard("one")), Answer(body=heard("other"))) as (one, other):
            one.ready = Answer(500, b"out of order")
            pool = make_pool(one, other)
            assert {text(call(pool)) for _ in range(3)} == {"other"}
            stop = threading.Event()
            one.ready = Answer(body={"capacity": 1})
            while len(caplog.messages) < 2:
                pool.wait_until_available(stop)
                time.sleep(0.05)
            assert "one" in {text(call(pool)) for _ in range(3)}
        assert caplog.messages == [
            f"Whisper server is away: {one.url} answered 500",
            f"Whisper server {one.url} answers again",
        ]

    def test_who_never_gives_up_does_not_promise_it(self, caplog: pytest.LogCaptureFixture) -> None:
        make_pool(f"http://127.0.0.1:{free_port()}", give_up_seconds=None)
        [line] = caplog.messages
        assert line.endswith("Connection refused): waits, holds no chunk")

    def test_it_gives_up_after_its_time_and_never_without_one(self) -> None:
        dead = f"http://127.0.0.1:{free_port()}"
        with pytest.raises(ServerUnavailable, match=r"answered for 0\.01 minutes") as gave_up:
            make_pool(dead, give_up_seconds=0.6).wait_until_available(threading.Event())
        assert gave_up.value.exit_code == 5
        stop = threading.Event()
        pool = make_pool(dead, give_up_seconds=None)
        patient = threading.Thread(target=pool.wait_until_available, args=(stop,))
        patient.start()
        patient.join(1.0)
        assert patient.is_alive()
        stop.set()
        patient.join(2.0)
        assert not patient.is_alive()

    def test_one_that_is_away_is_looked_at_beside_the_work_of_the_others(self) -> None:
        with (
            ScriptedServer(always("here")).running() as alive,
            ScriptedServer(always("back"), ready=Answer(500)).running() as late,
        ):
            pool = make_pool(late, alive)
            assert text(call(pool)) == "here"
            late.ready = Answer(body={"capacity": 4})

            def comes_back() -> bool:
                pool.wait_until_available(threading.Event())
                return text(call(pool, avoid=frozenset({alive.url}))) == "back"

            until(comes_back)

    def test_one_that_says_it_is_ready_and_fails_every_call_has_to_show_it(self) -> None:
        gateway = Answer(502, b"<h1>Bad Gateway</h1>")
        with ScriptedServer(lambda n, u: gateway, canary=gateway).running() as server:
            pool = make_pool(server)
            stop = threading.Event()
            for _ in range(2):
                pool.wait_until_available(stop)
                with pytest.raises(ServerUnavailable, match="502"):
                    call(pool)
            waiting = threading.Thread(target=pool.wait_until_available, args=(stop,))
            waiting.start()
            until(lambda: server.canaries > 0)
            assert waiting.is_alive()
            assert len(server.calls) == 2
            server.canary = Answer(body=heard("well again"))
            waiting.join(8)
            assert not waiting.is_alive()


class TestBlame:
    @pytest.mark.parametrize(
        ("answer", "error"),
        [(OUT_OF_ORDER, ServerFault), (refusal(413, "too large"), RequestRefused)],
        ids=["500", "413"],
    )
    def test_a_failure_is_the_chunks_if_the_server_manages_a_control(
        self, answer: Answer, error: type[Exception]
    ) -> None:
        with ScriptedServer(lambda number, upload: answer).running() as server:
            pool = make_pool(server)
            with pytest.raises(error) as charged:
                call(pool)
            assert server.canaries == 1
            pool.wait_until_available(threading.Event())  # it is not suspect
        assert getattr(charged.value, "server", None) == server.url

    def test_a_call_that_outlasts_its_time_is_the_chunks_if_the_server_manages_a_control(
        self,
    ) -> None:
        slow = Answer(body=heard("late"), delay_seconds=3)
        with ScriptedServer(lambda number, upload: slow).running() as server:
            with pytest.raises(ServerFault, match="longer"):
                call(make_pool(server), seconds=1.0)
            assert server.canaries == 1

    def test_a_failure_is_nobodys_if_the_control_fails_too_and_another_server_gets_the_call(
        self,
    ) -> None:
        with two_servers(OUT_OF_ORDER, Answer(body=heard("fine"))) as (broken, fine):
            broken.canary = OUT_OF_ORDER
            pool = make_pool(broken, fine)
            assert [text(call(pool)) for _ in range(3)] == ["fine"] * 3
            assert (len(broken.calls), broken.canaries) == (1, 1)

    def test_a_broken_server_gets_work_again_only_after_a_control(self) -> None:
        def script(number: int, upload: bytes) -> Answer:
            return OUT_OF_ORDER if number == 1 else Answer(body=heard("mended"))

        with ScriptedServer(script, canary=OUT_OF_ORDER).running() as server:
            pool = make_pool(server, max_broken=None)
            with pytest.raises(ServerUnavailable):
                call(pool)
            waiting = threading.Thread(target=pool.wait_until_available, args=(threading.Event(),))
            waiting.start()
            until(lambda: server.canaries >= 2)  # never given up, though /ready says it is well
            assert waiting.is_alive()
            server.canary = Answer(body=heard("anything"))
            waiting.join(8)
            assert text(call(pool)) == "mended"

    def test_three_controls_that_fail_in_a_row_are_the_end(self) -> None:
        with ScriptedServer(lambda n, u: OUT_OF_ORDER, canary=OUT_OF_ORDER).running() as server:
            pool = make_pool(server, max_broken=3)
            with pytest.raises(ServerUnavailable):
                call(pool)
            with pytest.raises(ServersBroken, match="out of order") as end:
                pool.wait_until_available(threading.Event())
        assert end.value.exit_code == 5
        assert (len(server.calls), server.canaries) == (1, 3)

    def test_many_calls_that_fail_at_once_ask_for_one_control(self) -> None:
        authenticator = threading.Barrier(4)

        def script(number: int, upload: bytes) -> Answer:
            authenticator.wait(5)
            return OUT_OF_ORDER

        slow_failure = Answer(500, {"error": {"message": "no"}}, delay_seconds=0.5)
        with ScriptedServer(script, canary=slow_failure).running() as server:
            pool = make_pool(server)
            ends: list[type[Exception]] = []

            def work() -> None:
                try:
                    call(pool)
                except Exception as error:
                    ends.append(type(error))

            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert ends == [ServerUnavailable] * 4
        assert server.canaries == 1

    def test_a_broken_server_stops_nobody_while_another_is_well(self) -> None:
        with two_servers(OUT_OF_ORDER, Answer(body=heard("fine"))) as (broken, fine):
            broken.canary = OUT_OF_ORDER
            pool = make_pool(broken, fine, max_broken=1)
            assert text(call(pool)) == "fine"
            assert broken.canaries == 1
            pool.wait_until_available(threading.Event())

    def test_a_server_must_pass_a_canary_before_an_isolated_call(self) -> None:
        with ScriptedServer(always()).running() as server:
            pool = make_pool(server)
            for _ in range(2):
                assert text(call(pool, isolated=True)) == "hello"
            assert server.canaries == 1  # the first call succeeded: no second canary
        with ScriptedServer(always(), canary=OUT_OF_ORDER).running() as broken:
            with pytest.raises(ServerUnavailable, match="has not passed a canary"):
                call(make_pool(broken), isolated=True)
            assert broken.calls == []

    def test_a_control_that_meets_a_busy_server_charges_nobody(self) -> None:
        busy = Answer(503, {}, {"Retry-After": "0.2"})
        with ScriptedServer(lambda n, u: OUT_OF_ORDER, canary=busy).running() as server:
            pool = make_pool(server)
            with pytest.raises(ServerUnavailable):
                call(pool, seconds=0.1)


class TestBrokenAnswers:
    @pytest.mark.parametrize("cut", [0, 20])
    def test_a_server_that_lives_on_is_asked_again(self, cut: int) -> None:
        def script(number: int, upload: bytes) -> Answer:
            return Answer(body=heard("whole"), cut=cut if number < 3 else None)

        ready = Answer(body={"capacity": 1, "instance": "a"})
        with ScriptedServer(script, ready).running() as server:
            assert text(call(make_pool(server))) == "whole"
            assert len(server.calls) == 3

    @pytest.mark.parametrize("instance", [None, "a"])
    def test_three_answers_that_break_off_are_enough(self, instance: str | None) -> None:
        broken = Answer(body=heard("hello"), cut=5)
        ready = Answer(body={"capacity": 1, "instance": instance})
        with ScriptedServer(lambda n, u: broken, ready).running() as server:
            with pytest.raises(ServerDied) as died:
                call(make_pool(server))
            assert len(server.calls) == 3
        assert died.value.server == server.url

    def test_if_the_answer_to_the_control_breaks_off_too_it_is_nobodys_fault(self) -> None:
        broken = Answer(body=heard("hello"), cut=5)
        with ScriptedServer(lambda n, u: broken, canary=broken).running() as server:
            pool = make_pool(server, max_broken=1)
            with pytest.raises(ServerUnavailable, match="fails on anything"):
                call(pool)
            with pytest.raises(ServersBroken):
                pool.wait_until_available(threading.Event())

    def test_an_upload_that_is_always_cut_off_is_the_chunks_if_the_control_gets_through(
        self,
    ) -> None:
        with picky_proxy(most_bytes=100_000) as (url, refused):
            pool = make_pool(url)
            large = Upload(b"x" * 8_000_000, "sequence.flac", 10.0)
            with pytest.raises(ServerFault):
                pool.transcribe(large, 5.0, lambda: True)
            assert refused == [3]
            assert text(call(pool)) == "hello"

    def test_one_that_comes_back_as_another_process_has_died_of_it(self) -> None:
        ready = Answer(body={"capacity": 1, "instance": "a"})
        with ScriptedServer(always(), ready).running() as server:
            pool = make_pool(server)

            def script(number: int, upload: bytes) -> Answer:
                server.ready = Answer(body={"capacity": 1, "instance": "b"})
                return Answer(body=heard("hello"), cut=0)

            server.script = script
            with pytest.raises(ServerDied):
                call(pool)
            assert len(server.calls) == 1

    def test_one_that_is_gone_after_the_upload_has_died_of_it(self) -> None:
        with ScriptedServer(always()).running() as server:
            pool = make_pool(server)

            def script(number: int, upload: bytes) -> Answer:
                server.ready = Answer(500, b"gone")
                return Answer(body=heard("hello"), cut=0)

            server.script = script
            with pytest.raises(ServerDied):
                call(pool)

    def test_one_that_never_took_the_upload_has_not_died_of_it(self) -> None:
        with ScriptedServer(always()).running() as server:
            pool = make_pool(server)
        with pytest.raises(ServerUnavailable):
            call(pool)

    def test_a_page_in_place_of_a_transcript_is_the_servers_fault_if_the_control_gets_one_too(
        self,
    ) -> None:
        page = Answer(body=b"<html>welcome</html>")
        with ScriptedServer(lambda n, u: page, canary=page).running() as server:
            pool = make_pool(server, max_broken=1)
            with pytest.raises(ServerUnavailable):
                call(pool)
            with pytest.raises(ServersBroken, match="does not answer like a Whisper server"):
                pool.wait_until_available(threading.Event())

    def test_the_same_chunk_without_a_transcript_three_times_is_the_chunks_fault(self) -> None:
        nonsense = Answer(body={"text": "x", "segments": [{"start": None, "end": 1, "text": "x"}]})
        with ScriptedServer(lambda n, u: nonsense).running() as server:
            with pytest.raises(ServerFault):
                call(make_pool(server))
            assert (len(server.calls), server.canaries) == (3, 1)


class TestOddServers:
    def test_ready_has_its_time_however_slowly_it_comes(self) -> None:
        drip = Answer(body={"capacity": 4}, drip_seconds=0.3)
        with ScriptedServer(always(), ready=drip).running() as server:
            began = time.monotonic()
            with pytest.raises(ServerUnavailable):
                WhisperClient(server.url, KEY, None).ready(0.5)
            assert time.monotonic() - began < 2

    def test_a_redirection_is_a_wrong_setting_and_takes_no_key_elsewhere(self) -> None:
        moved = Answer(308, {}, {"Location": "https://elsewhere.example/v1"})
        with (
            answering(moved) as server,
            pytest.raises(ConfigError, match=r"redirects to https://elsewhere\.example"),
        ):
            WhisperClient(server.url, KEY, None).transcribe(UPLOAD, 5.0)

    def test_a_host_that_cannot_be_one_is_unreachable(self) -> None:
        with pytest.raises(ServerUnavailable):
            WhisperClient("http://a..b:8081", KEY, None).ready()


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
