"""Whisper servers that are well, busy, away, broken, or refuse the key."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import stt
from stt.doctor import whisper
from stt.doctor.checks import Finding, run_checks
from stt.doctor.whisper import server_findings, version_findings, whisper_checks
from stt.settings import Settings
from tests.support.models import sample_model
from tests.support.scripted_server import Answer, ScriptedServer, always, heard, refusal

AWAY = "http://127.0.0.1:9"


def settings(**changes: object) -> Settings:
    return Settings(_env_file=None).model_copy(update=changes)  # type: ignore[call-arg]


def checked(**changes: object) -> list[Finding]:
    return list(run_checks(whisper_checks(settings(**changes), 60.0)))


@pytest.mark.parametrize(
    ("canary", "state", "code", "words"),
    [
        (Answer(body=heard("hello")), "ok", 0, "transcribed a short recording"),
        (Answer(body=heard("")), "warning", 0, "gave no text"),
        (refusal(401, "no"), "problem", 3, "set STT_API_KEY"),
        (refusal(404, "no such model", param="model"), "problem", 3, "--model"),
        (refusal(500, "out of memory"), "problem", 5, "out of memory"),
        (refusal(503, "queue is full"), "warning", 0, "queue is full"),
        (Answer(body="<html>"), "problem", 5, "does not answer like a Whisper server"),
    ],
    ids=["well", "silent", "key", "model", "broken", "busy", "page"],
)
def test_a_server_is_checked_by_a_short_recording(
    canary: Answer, state: str, code: int, words: str
) -> None:
    with ScriptedServer(always("x"), canary=canary).running() as server:
        finding = checked(server_urls=(server.url,))[0]
        assert server.canaries == 1
    assert (finding.state, finding.exit_code) == (state, code)
    assert words in finding.message
    assert server.url in finding.message


def test_one_that_loads_its_model_is_a_warning() -> None:
    with ScriptedServer(always("x"), ready=refusal(503, "loading")).running() as server:
        [finding] = checked(server_urls=(server.url,))
    assert finding.state == "warning"
    assert "again in a minute" in finding.advice


def test_each_server_has_a_line_of_its_own() -> None:
    with ScriptedServer(always("x")).running() as server:
        away, well = checked(server_urls=(AWAY, server.url))[:2]
    assert (away.state, away.exit_code) == ("problem", 5)
    assert AWAY in away.message
    assert away.advice
    assert well.state == "ok"


@pytest.fixture
def other_version() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = json.dumps({"version": "0.0.9"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()
        thread.join()


def test_another_version_of_a_server_is_a_warning(other_version: str) -> None:
    [finding] = version_findings("node", other_version, None, 60.0)
    assert (finding.check, finding.state) == ("node", "warning")
    assert f"0.0.9, this machine {stt.__version__}" in finding.message


def test_a_server_that_has_no_version_is_no_finding() -> None:
    with ScriptedServer(always("x")).running() as server:
        assert list(version_findings("x", server.url, None, 60.0)) == []
    assert list(version_findings("x", AWAY, None, 60.0)) == []


class TestWithoutServers:
    @pytest.fixture(autouse=True)
    def _no_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(whisper, "DEFAULT_SERVER_URL", AWAY)

    def test_one_that_would_be_started_is_checked_for_its_model(self) -> None:
        server, model = checked(model=sample_model())
        assert (server.state, model.state) == ("ok", "ok")
        assert "start one" in server.message

    def test_a_model_that_is_not_here_is_a_warning_with_the_ways_to_it(self) -> None:
        _, model = checked(model="large-v3")
        assert (model.state, model.message) == (
            "warning", "Model 'large-v3' is not on this machine",
        )  # fmt: skip
        assert "whisper-server download large-v3" in model.advice

    def test_without_a_program_the_way_to_one_is_named(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("stt.local.whisper_server._MODULES", ("no_such_module",))
        [finding] = checked()
        assert finding.state == "warning"
        assert "pip install" in finding.advice

    def test_the_usual_one_is_used_if_it_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with ScriptedServer(always("x")).running() as server:
            monkeypatch.setattr(whisper, "DEFAULT_SERVER_URL", server.url)
            [finding] = checked()
        assert finding.state == "ok"
        assert server.url in finding.message


def test_the_key_is_in_no_finding() -> None:
    echo = refusal(400, "Bearer hunter2-key is wrong")
    with ScriptedServer(always("x"), canary=echo).running() as server:
        wanted = Settings(_env_file=None, api_key="hunter2-key")  # type: ignore[call-arg, arg-type]
        found = run_checks(
            whisper_checks(wanted.model_copy(update={"server_urls": (server.url,)}), 60.0)
        )
        assert "hunter2-key" not in repr(list(found))


def test_server_findings_raise_what_is_wrong() -> None:
    with pytest.raises(Exception, match="does not answer"):
        list(server_findings(settings(), AWAY, 2.0))
