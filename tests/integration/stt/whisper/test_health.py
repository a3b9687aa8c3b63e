"""Which servers a pool calls: those that answer, or pass a canary after a failure."""

import threading
import time

import pytest

from stt.errors import ConfigError, KeyRejected, ServerUnavailable
from tests.support.mongo_process import free_port
from tests.support.pace import until
from tests.support.pool_calls import call, make_pool, text, two_servers
from tests.support.scripted_server import Answer, ScriptedServer, always, heard, refusal


class TestAway:
    def test_all_servers_down_is_logged_once_and_so_is_the_return(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", "stt")
        down = Answer(500, b"out of order")
        with ScriptedServer(always(), ready=down).running() as server:
            pool = make_pool(server, f"http://127.0.0.1:{free_port()}")
            waiting = threading.Thread(target=pool.wait_until_available, args=(threading.Event(),))
            waiting.start()
            waiting.join(1)
            assert waiting.is_alive()
            server.ready = Answer(body={"capacity": 2})
            waiting.join(60)
            assert not waiting.is_alive()
        lines = [r.getMessage() for r in caplog.records if "stt" in r.name]
        assert [line.partition(" (")[0] for line in lines] == [
            f"Whisper server is away: {server.url} answered 500",
            "No whisper server answers",
            f"Whisper server {server.url} answers again",
        ]
        assert f"({server.url} answered 500; http://127.0.0.1:" in lines[1]
        assert lines[1].endswith(
            "Connection refused): waits, holds no chunk, gives up after 5 min"
            " (--server-unreachable-minutes)"
        )

    def test_of_several_servers_each_that_goes_is_logged_once_and_so_is_its_return(
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

    def test_one_that_never_gives_up_logs_no_time_for_it(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        make_pool(f"http://127.0.0.1:{free_port()}", persistent=True)
        [line] = caplog.messages
        assert line.endswith("Connection refused): waits, holds no chunk")

    def test_it_gives_up_after_its_time_and_never_without_one(self) -> None:
        dead = f"http://127.0.0.1:{free_port()}"
        with pytest.raises(ServerUnavailable, match=r"answered for 0\.01 minutes") as gave_up:
            make_pool(dead, server_unreachable_minutes=0.01).wait_until_available(threading.Event())
        assert gave_up.value.exit_code == 5
        stop = threading.Event()
        pool = make_pool(dead, persistent=True)
        waiting = threading.Thread(target=pool.wait_until_available, args=(stop,))
        waiting.start()
        waiting.join(0.8)
        assert waiting.is_alive()
        stop.set()
        waiting.join(60)
        assert not waiting.is_alive()

    def test_one_that_is_away_is_probed_beside_the_work_of_the_others(self) -> None:
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

    def test_one_that_answers_ready_and_fails_every_call_has_to_pass_a_canary(self) -> None:
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
            waiting.join(60)
            assert not waiting.is_alive()


NOT_FOUND = Answer(404, {"detail": "Not Found"})
NO_MODEL = refusal(400, "unknown model", param="model")
REFUSALS = {
    "no such path": (NOT_FOUND, "check STT_SERVER_URL"),
    "no such method": (Answer(405, b"no"), "check STT_SERVER_URL"),
    "redirect": (Answer(308, b"", {"Location": "http://else.where/"}), "redirects to http://else"),
    "model": (NO_MODEL, "check STT_SERVER_URL and --model"),
    "key": (refusal(401, "who is that"), "set STT_API_KEY"),
    "right": (refusal(403, "not for you"), "set STT_API_KEY"),
}


class TestSetAside:
    @pytest.mark.parametrize(("refused", "advice"), REFUSALS.values(), ids=REFUSALS)
    def test_one_that_refuses_every_call_stops_no_other_and_is_logged_once(
        self, refused: Answer, advice: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", "stt")
        with two_servers(refused, Answer(body=heard("other"))) as (one, other):
            one.canary = refused
            pool = make_pool(one, other)
            avoid = frozenset({other.url})  # so that the first is tried first
            for _ in range(3):
                assert text(call(pool, avoid=avoid)) == "other"
                pool.wait_until_available(threading.Event())
        assert len(one.calls) == 1
        [line] = caplog.messages
        assert line.startswith("Whisper server is set aside, and asked again now and then: ")
        assert one.url in line
        assert advice in line

    def test_one_that_is_set_up_anew_gets_work_again(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("stt.whisper.server_state._SET_ASIDE_SECONDS", 0.1)
        caplog.set_level("INFO", "stt")
        stop = threading.Event()
        with two_servers(NOT_FOUND, Answer(body=heard("other"))) as (one, other):
            one.canary = NOT_FOUND
            pool = make_pool(one, other)
            avoid = frozenset({other.url})

            def is_asked_again() -> bool:
                pool.wait_until_available(stop)
                return one.canaries >= 3

            assert text(call(pool, avoid=avoid)) == "other"
            until(is_asked_again)
            assert len(caplog.messages) == 1
            one.canary = Answer(body=heard("well"))
            one.script = always("back")

            def comes_back() -> bool:
                pool.wait_until_available(stop)
                return text(call(pool, avoid=avoid)) == "back"

            until(comes_back)
        assert caplog.messages[1:] == [f"Whisper server {one.url} answers again"]

    def test_the_last_one_that_refuses_ends_the_run_at_once_with_every_reason(self) -> None:
        with two_servers(NOT_FOUND, refusal(401, "no")) as (one, other):
            pool = make_pool(one, other)
            with pytest.raises(ConfigError) as ended:
                call(pool)
            assert not isinstance(ended.value, KeyRejected)
            assert f"{one.url} answered 404: " in str(ended.value)
            assert f"{other.url} refuses the key" in str(ended.value)
            with pytest.raises(ConfigError):
                pool.wait_until_available(threading.Event())

    def test_if_all_refuse_the_key_the_key_is_to_blame(self) -> None:
        with two_servers(refusal(401, "no"), refusal(403, "no")) as servers:
            pool = make_pool(*servers)
            with pytest.raises(KeyRejected, match="STT_API_KEY"):
                call(pool)

    def test_one_that_refuses_while_the_other_is_away_waits_for_that(self) -> None:
        with ScriptedServer(lambda n, u: NOT_FOUND).running() as refuses:
            dead = f"http://127.0.0.1:{free_port()}"
            pool = make_pool(refuses, dead, server_unreachable_minutes=0.01)
            with pytest.raises(ServerUnavailable):
                call(pool)
            with pytest.raises(ServerUnavailable, match="has answered for") as gave_up:
                pool.wait_until_available(threading.Event())
        assert gave_up.value.exit_code == 5
