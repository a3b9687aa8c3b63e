"""Which models servers have, as they say themselves: the real server, and scripted ones."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from stt.domain.chunk import SPEAKERS
from stt.errors import ModelMissing
from stt.settings import load_settings
from stt.whisper.client import WhisperClient
from stt.whisper.model_lookup import MissingModels, lacks_model, read_listing
from stt.whisper.pool import ServerPool
from stt.whisper.server_state import Listing
from tests.support.mongo_process import free_port
from tests.support.pace import until
from tests.support.pool_calls import UPLOAD, call, make_pool, text
from tests.support.scripted_server import Answer, ScriptedServer, always, refusal
from tests.support.whisper_stand_in import running

NO_MODEL = refusal(404, "The model does not exist", code="model_not_found")


def only(name: str) -> ScriptedServer:
    """A server that says which model it has."""
    server = ScriptedServer(always(name))
    server.model_answer = lambda path: (
        Answer(body={"id": name}) if path == f"/v1/models/{name}" else NO_MODEL
    )
    return server


def test_our_server_has_its_own_model_by_each_of_its_names_and_no_other() -> None:
    with running() as server:  # with `base`
        client = WhisperClient(server.url, None, None)
        asked = ("base", "whisper-1", "large-v3", "turbo", "Systran/faster-whisper-tiny", "a b")
        assert [lacks_model(client, name) for name in asked] == [False, False, *[True] * 4]


@pytest.mark.parametrize(
    ("answer", "is_lacking"),
    [
        (Answer(404, {"detail": "Model 'big/v9' is not installed locally."}), True),
        (NO_MODEL, True),
        (Answer(404, {"detail": "Not Found"}), False),
        (Answer(404, b"File Not Found (/v1/models/big/v9)"), False),
        (Answer(500, b"big/v9 is out of order"), False),
        (Answer(401, b"who are you"), False),
        (Answer(200, b"<html>"), False),
    ],
)
def test_only_a_server_that_says_so_lacks_a_model(answer: Answer, is_lacking: bool) -> None:
    with ScriptedServer(always()).running() as server:
        server.model_answer = lambda path: answer
        assert lacks_model(WhisperClient(server.url, None, None), "big/v9") == is_lacking
        assert server.asked == ["/v1/models/big/v9"]


@pytest.mark.parametrize(
    ("listed", "is_lacking"),
    [
        ([{"id": "base", "loaded": True, "speakers": False}], True),
        (
            [{"id": "base", "loaded": True, "speakers": True}, {"id": "tiny", "speakers": False}],
            False,
        ),
        ([{"id": "base", "loaded": False, "speakers": False}], False),  # it is still loading
        ([{"id": "whisper-1"}], False),
        (["odd"], False),
        (None, False),
    ],
)
def test_only_a_server_that_says_so_finds_no_speakers(listed: object, is_lacking: bool) -> None:
    with ScriptedServer(always()).running() as server:
        server.model_answer = lambda path: Answer(body={"data": listed})
        assert lacks_model(WhisperClient(server.url, None, None), SPEAKERS) == is_lacking
        assert server.asked == ["/v1/models"]


@pytest.mark.parametrize(
    ("answer", "models"),
    [
        (
            Answer(body={"data": [{"id": "base", "loaded": True}, {"id": "big", "loaded": False}]}),
            ("base",),
        ),
        (Answer(body={"data": [{"id": "b"}, {"id": "a"}]}), ("b", "a")),
        (Answer(body={"data": ["odd"]}), ()),
        (Answer(body={"data": None}), ()),
        (Answer(404, body={"data": [{"id": "base"}]}), ()),
    ],
)
def test_a_server_lists_what_it_can_transcribe_with(
    answer: Answer, models: tuple[str, ...]
) -> None:
    with ScriptedServer(always()).running() as server:
        server.model_answer = lambda path: answer
        assert read_listing(WhisperClient(server.url, None, None)).models == models


def test_our_server_lists_the_model_that_it_has_loaded() -> None:
    with running() as server:
        listing = read_listing(WhisperClient(server.url, None, None))
        assert listing == Listing(("base",), finds_speakers=False)


def test_our_server_without_speakers_lacks_them() -> None:
    with running() as server:
        assert lacks_model(WhisperClient(server.url, None, None), SPEAKERS)


def test_a_name_that_leads_elsewhere_is_not_asked_for() -> None:
    with ScriptedServer(always()).running() as server:
        assert not lacks_model(WhisperClient(server.url, None, None), "../../admin")
        assert server.asked == []


def test_a_server_that_does_not_answer_may_have_any_model() -> None:
    client = WhisperClient(f"http://127.0.0.1:{free_port()}", None, None)
    assert not lacks_model(client, "big")


def that_says(finds_speakers: bool | None) -> Callable[[str], Answer]:
    model = {"id": "base", "loaded": True, "speakers": finds_speakers}
    return lambda path: Answer(body={"data": [model]})


class TestPool:
    def test_the_models_of_all_servers_are_listed_and_none_if_one_does_not_say(self) -> None:
        with ScriptedServer(always()).running() as one, ScriptedServer(always()).running() as two:
            one.model_answer = lambda path: Answer(body={"data": [{"id": "small"}]})
            two.model_answer = lambda path: Answer(body={"data": [{"id": "big"}, {"id": "small"}]})
            pool = make_pool(one, two)
            assert pool.listed() == pool.listed() == Listing(("big", "small"))
            assert [s.asked.count("/v1/models") for s in (one, two)] == [1, 1]
            two.model_answer = lambda path: Answer(404)
            assert make_pool(one, two).listed() == Listing()

    @pytest.mark.parametrize(
        ("says", "finds"),
        [
            ((True, False), True),
            ((False, False), False),
            ((False, None), None),
            ((None, None), None),
        ],
    )
    def test_speakers_are_found_if_any_server_does_so(
        self, says: tuple[bool | None, ...], finds: bool | None
    ) -> None:
        with ScriptedServer(always()).running() as one, ScriptedServer(always()).running() as two:
            one.model_answer, two.model_answer = map(that_says, says)
            assert make_pool(one, two).listed() == Listing(("base",), finds)

    def test_a_recordings_model_goes_to_the_server_that_has_it(self) -> None:
        with only("small").running() as small, only("big").running() as big:
            pool = make_pool(small, big)
            assert pool.missing_models(["big", "huge"]) == MissingModels(frozenset({"huge"}))
            wants_big = replace(UPLOAD, model="big")
            avoid = frozenset({big.url})  # so that the other one would be tried first
            assert {text(call(pool, upload=wants_big, avoid=avoid)) for _ in range(3)} == {"big"}
            assert small.calls == []
            with pytest.raises(ModelMissing, match="no whisper server has model huge"):
                call(pool, upload=replace(UPLOAD, model="huge"))
            assert len(small.calls) == 0
            asked = len(small.asked)
            pool.missing_models(["big", "huge"])
            assert len(small.asked) == asked, "what is known is not asked again"

    def test_a_server_without_the_route_is_asked_by_a_call_and_its_refusal_remembered(self) -> None:
        with ScriptedServer(lambda n, u: NO_MODEL).running() as server:
            pool = make_pool(server)
            assert pool.missing_models(["big"]) == MissingModels()
            for _ in range(3):
                with pytest.raises(ModelMissing):
                    call(pool, upload=replace(UPLOAD, model="big"))
            assert len(server.calls) == 1
            assert pool.missing_models([]) == MissingModels(frozenset({"big"}))

    def test_a_model_that_appears_is_noticed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("stt.whisper.model_lookup._KEEP_SECONDS", 0.0)
        with only("small").running() as server:
            pool = make_pool(server)
            server.model_answer = lambda path: NO_MODEL
            pool.missing_models(["big"])
            server.model_answer = lambda path: Answer(body={"id": "big"})
            assert pool.missing_models(["big"]) == MissingModels()

    def test_a_server_that_is_away_may_have_the_model_and_other_ones_when_it_is_back(self) -> None:
        with only("small").running() as small, only("big").running() as big:
            pool = make_pool(small, big)
            big.ready = Answer(503)
            big.script = lambda n, u: Answer(502)
            wants_big = replace(UPLOAD, model="big")
            assert pool.missing_models(["big"]) == MissingModels()
            with pytest.raises(Exception, match="502"):
                call(pool, upload=wants_big)
            only_big = frozenset({"big"})
            assert pool.missing_models(["big"]) == MissingModels(only_big, away=only_big)
            big.ready, big.script = Answer(body={"capacity": 1}), always("big")

            def is_back() -> bool:
                pool.wait_until_available(threading.Event())
                return pool.missing_models(["big"]) == MissingModels()

            until(is_back)
            assert text(call(pool, upload=wants_big)) == "big"


def test_the_key_is_sent_where_the_server_wants_one() -> None:
    key = "9f86d081884c7d659a2feaa0c55ad015"
    with running(API_KEY=key) as server:
        pool = ServerPool(load_settings(server_urls=(server.url,), api_key=key))
        assert pool.missing_models(["base", "huge"]) == MissingModels(frozenset({"huge"}))
