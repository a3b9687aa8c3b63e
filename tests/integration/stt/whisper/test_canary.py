"""Who is charged for a call that fails: the server, or the chunk."""

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from stt.errors import (
    RequestRefused,
    ServerDied,
    ServerFault,
    ServersBroken,
    ServerUnavailable,
)
from stt.whisper.canary import canary_text
from stt.whisper.client import Upload, WhisperClient
from tests.support.pace import scaled, until
from tests.support.pool_calls import call, make_pool, text, two_servers
from tests.support.scripted_server import Answer, ScriptedServer, always, heard, refusal

OUT_OF_ORDER = refusal(500, "out of order")


@contextlib.contextmanager
def picky_proxy(most_bytes: int) -> Iterator[tuple[str, list[int]]]:
    """Reset the connection of an upload that is larger, while it is being sent; count those."""
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


class TestBlame:
    @pytest.mark.parametrize(
        ("answer", "error"),
        [(OUT_OF_ORDER, ServerFault), (refusal(413, "too large"), RequestRefused)],
        ids=["500", "413"],
    )
    def test_a_failure_is_charged_to_the_chunk_if_the_server_passes_a_canary(
        self, answer: Answer, error: type[Exception]
    ) -> None:
        with ScriptedServer(lambda number, upload: answer).running() as server:
            pool = make_pool(server)
            with pytest.raises(error) as charged:
                call(pool)
            assert server.canaries == 1
            pool.wait_until_available(threading.Event())  # it is not held back
        assert getattr(charged.value, "server", None) == server.url

    def test_a_call_that_outlasts_its_time_is_charged_to_the_chunk_if_the_server_passes_a_canary(
        self,
    ) -> None:
        slow = Answer(body=heard("late"), delay_seconds=scaled(2))
        with ScriptedServer(lambda number, upload: slow).running() as server:
            with pytest.raises(ServerFault, match="longer"):
                call(make_pool(server), seconds=1.0)
            assert server.canaries == 1

    def test_a_failure_charges_no_chunk_if_the_canary_fails_and_another_server_gets_the_call(
        self,
    ) -> None:
        with two_servers(OUT_OF_ORDER, Answer(body=heard("fine"))) as (broken, fine):
            broken.canary = OUT_OF_ORDER
            pool = make_pool(broken, fine)
            assert [text(call(pool)) for _ in range(3)] == ["fine"] * 3
            assert (len(broken.calls), broken.canaries) == (1, 1)

    def test_a_broken_server_gets_work_again_only_after_a_canary(self) -> None:
        def script(number: int, upload: bytes) -> Answer:
            return OUT_OF_ORDER if number == 1 else Answer(body=heard("mended"))

        with ScriptedServer(script, canary=OUT_OF_ORDER).running() as server:
            pool = make_pool(server, persistent=True)
            with pytest.raises(ServerUnavailable):
                call(pool)
            waiting = threading.Thread(target=pool.wait_until_available, args=(threading.Event(),))
            waiting.start()
            until(lambda: server.canaries >= 2)  # never given up, though it answers /ready
            assert waiting.is_alive()
            server.canary = Answer(body=heard("anything"))
            waiting.join(60)
            assert text(call(pool)) == "mended"

    def test_three_canaries_that_fail_in_a_row_end_the_worker(self) -> None:
        with ScriptedServer(lambda n, u: OUT_OF_ORDER, canary=OUT_OF_ORDER).running() as server:
            pool = make_pool(server, max_consecutive_failures=3)
            with pytest.raises(ServerUnavailable):
                call(pool)
            with pytest.raises(ServersBroken, match="out of order") as end:
                pool.wait_until_available(threading.Event())
        assert end.value.exit_code == 5
        assert (len(server.calls), server.canaries) == (1, 3)

    def test_many_calls_that_fail_at_once_lead_to_one_canary(self) -> None:
        all_at_once = threading.Barrier(4)

        def script(number: int, upload: bytes) -> Answer:
            all_at_once.wait(60)
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

    def test_a_broken_server_ends_no_worker_while_another_is_healthy(self) -> None:
        with two_servers(OUT_OF_ORDER, Answer(body=heard("fine"))) as (broken, fine):
            broken.canary = OUT_OF_ORDER
            pool = make_pool(broken, fine, max_consecutive_failures=1)
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

    def test_a_canary_that_meets_a_busy_server_charges_no_chunk(self) -> None:
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

    def test_if_the_answer_to_the_canary_breaks_off_too_no_chunk_is_charged(self) -> None:
        broken = Answer(body=heard("hello"), cut=5)
        with ScriptedServer(lambda n, u: broken, canary=broken).running() as server:
            pool = make_pool(server, max_consecutive_failures=1)
            with pytest.raises(ServerUnavailable, match="fails on anything"):
                call(pool)
            with pytest.raises(ServersBroken):
                pool.wait_until_available(threading.Event())

    def test_an_upload_that_is_always_cut_off_is_charged_to_the_chunk_if_the_canary_passes(
        self,
    ) -> None:
        with picky_proxy(most_bytes=100_000) as (url, refused):
            pool = make_pool(url)
            large = Upload(b"x" * 8_000_000, "sequence.flac", 10.0)
            with pytest.raises(ServerFault):
                call(pool, upload=large)
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

    def test_a_page_in_place_of_a_transcript_is_the_servers_fault_if_the_canary_gets_one_too(
        self,
    ) -> None:
        page = Answer(body=b"<html>welcome</html>")
        with ScriptedServer(lambda n, u: page, canary=page).running() as server:
            pool = make_pool(server, max_consecutive_failures=1)
            with pytest.raises(ServerUnavailable):
                call(pool)
            with pytest.raises(ServersBroken, match="does not answer like a Whisper server"):
                pool.wait_until_available(threading.Event())

    def test_three_answers_without_a_transcript_are_charged_to_the_chunk(self) -> None:
        nonsense = Answer(body={"text": "x", "segments": [{"start": None, "end": 1, "text": "x"}]})
        with ScriptedServer(lambda n, u: nonsense).running() as server:
            with pytest.raises(ServerFault):
                call(make_pool(server))
            assert (len(server.calls), server.canaries) == (3, 1)


def test_the_text_of_a_canary_is_what_the_server_heard() -> None:
    with ScriptedServer(always("x"), canary=Answer(body=heard("hello"))).running() as server:
        assert canary_text(WhisperClient(server.url, None, None), 30.0) == "hello"
    with (
        ScriptedServer(always("x"), canary=OUT_OF_ORDER).running() as server,
        pytest.raises(ServerFault, match="out of order"),
    ):
        canary_text(WhisperClient(server.url, None, None), 30.0)
