"""Which servers a pool calls: those that answer, or pass a canary after a failure."""

import threading
import time

import pytest

from stt.errors import ServerUnavailable
from tests.support.mongo_process import free_port
from tests.support.pace import until
from tests.support.pool_calls import call, make_pool, text, two_servers
from tests.support.scripted_server import Answer, ScriptedServer, always, heard


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
