"""The pool of servers against scripted servers over real HTTP: which one gets a call."""

import threading
import time
from dataclasses import replace

import pytest

from stt.errors import CannotTranslate
from tests.support.pace import scaled
from tests.support.pool_calls import UPLOAD, call, make_pool, text, two_servers
from tests.support.scripted_server import Answer, ScriptedServer, always, heard, refusal


class TestDealing:
    def test_servers_of_different_speeds_get_work_in_proportion(self) -> None:
        ready = Answer(body={"capacity": 2})
        fast = Answer(body=heard("fast"), delay_seconds=scaled(0.04))
        slow = Answer(body=heard("slow"), delay_seconds=scaled(0.2))
        with (
            ScriptedServer(lambda n, u: slow, ready).running() as tortoise,
            ScriptedServer(lambda n, u: fast, ready).running() as hare,
        ):
            pool = make_pool(tortoise, hare)
            end = time.monotonic() + scaled(1.6)

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

    def test_a_server_that_cannot_translate_is_asked_once_and_the_others_do_it(self) -> None:
        refused = refusal(400, "English only", code="unsupported_task", param="model")
        with two_servers(refused, Answer(body=heard("good morning"))) as (english, multilingual):
            pool = make_pool(english, multilingual)
            translation = replace(UPLOAD, task="translate")
            avoid = frozenset({multilingual.url})  # so that the English one is tried first
            heard_texts = {text(call(pool, upload=translation, avoid=avoid)) for _ in range(3)}
            assert heard_texts == {"good morning"}
            assert (english.paths, english.canaries) == (["/v1/audio/translations"], 0)

    def test_where_no_server_can_translate_each_is_asked_once(self) -> None:
        missing = refusal(404, "Not Found")
        with two_servers(missing, missing) as servers:
            pool = make_pool(*servers)
            for _ in range(3):
                with pytest.raises(CannotTranslate, match="cannot translate: use a server"):
                    call(pool, upload=replace(UPLOAD, task="translate"))
            assert [(len(one.calls), one.canaries) for one in servers] == [(1, 0)] * 2

    def test_a_call_that_meets_a_dead_server_moves_to_another(self) -> None:
        with ScriptedServer(always("here")).running() as alive:
            with ScriptedServer(always("gone")).running() as dying:
                pool = make_pool(dying, alive)
            assert [text(call(pool)) for _ in range(4)] == ["here"] * 4
