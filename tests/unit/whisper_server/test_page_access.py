"""Pages in a browser, and the names under which a server is reached, with real requests."""

import logging
import socket
from collections.abc import Iterator

import pytest
import requests

from tests.support.pace import until
from tests.support.routes import addresses
from tests.support.whisper_stand_in import TRANSCRIPTIONS, Running, error_of, running

EVIL = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
APP = "https://app.example"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,x-stainless-lang",
}
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


def get(server: Running, path: str, **headers: str) -> requests.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.get(server.url + path, headers=names, timeout=60)


def finished_job(server: Running) -> str:
    job: str = server.post("/jobs").json()["id"]
    until(lambda: get(server, f"/jobs/{job}").json()["status"] == "done")
    return job


@pytest.fixture(scope="module")
def with_cors() -> Iterator[Running]:
    with running(CORS_ORIGINS=f"{APP}, chrome-extension://1f2e") as server:
        yield server


@pytest.fixture(scope="module")
def with_key() -> Iterator[Running]:
    with running(API_KEY="hush-hush-little-one", CORS_ORIGINS="*") as server:
        yield server


def test_a_rebound_name_lists_starts_and_deletes_nothing(open_server: Running) -> None:
    port = open_server.url.rpartition(":")[2]
    own = {"Origin": f"http://evil.example:{port}", "Sec-Fetch-Site": "same-origin"}
    job = finished_job(open_server)
    before = len(open_server.engine.calls)
    for headers in ({"Host": f"evil.example:{port}"}, {"Host": f"evil.example:{port}"} | own):
        for method, path in addresses(open_server.app.routes):
            url = open_server.url + path.replace("{job_id}", job).replace("{name:path}", "base")
            answer = requests.request(method, url, headers=headers, timeout=60)
            assert answer.status_code == 421, path
            if method != "HEAD":
                assert error_of(answer)["code"] == "foreign_host"
                assert "'evil.example" in error_of(answer)["message"]
                assert "ALLOWED_HOSTS" in error_of(answer)["message"]
    assert get(open_server, f"/jobs/{job}").ok
    assert len(open_server.engine.calls) == before


@pytest.mark.parametrize(
    "headers",
    [
        EVIL,
        {"Origin": "null"},
        {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1"},
    ],
    ids=str,
)
def test_a_form_of_another_site_or_port_starts_nothing(
    open_server: Running, headers: dict[str, str]
) -> None:
    finished_job(open_server)
    before = len(get(open_server, "/jobs").json()["data"]), len(open_server.engine.calls)
    for path in ("/jobs", TRANSCRIPTIONS, "/transcribe"):
        answer = open_server.post(path, headers=headers)
        assert (answer.status_code, error_of(answer)["code"]) == (403, "foreign_page")
        assert "Access-Control-Allow-Origin" not in answer.headers
    after = len(get(open_server, "/jobs").json()["data"]), len(open_server.engine.calls)
    assert after == before
    assert get(open_server, "/jobs", **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    preflight = requests.options(open_server.url + "/jobs", headers=headers | PREFLIGHT, timeout=60)
    assert preflight.status_code == 403


def test_programs_links_and_its_own_page_go_on_as_before(open_server: Running) -> None:
    port = open_server.url.rpartition(":")[2]
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "whisper.localhost"):
        assert get(open_server, "/jobs", Host=host).ok, host
        own = {"Host": host, "Origin": f"http://{host}"}
        assert open_server.post(headers=own).ok, host
    assert requests.get(open_server.url + "/docs", headers=LINK, timeout=60).ok
    with socket.create_connection(("127.0.0.1", int(port))) as plain:
        plain.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        assert b" 200 " in plain.recv(200)


def test_on_a_network_addresses_and_its_own_name_are_known_too(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "gpu-box")
    with running(HOST="0.0.0.0", ALLOWED_HOSTS="whisper, *.example.org") as server:
        assert "Without API_KEY everyone who reaches this address" in caplog.text
        for host in ("192.168.1.5:8081", "gpu-box:8081", "whisper", "a.example.org", "localhost"):
            assert get(server, "/jobs", Host=host).ok, host
            assert server.post(headers={"Host": host, "Origin": f"http://{host}"}).ok, host
        assert get(server, "/jobs", Host="evil.example").status_code == 421


def test_on_this_machine_alone_nothing_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), running():
        assert caplog.text == ""


def test_pages_of_named_origins_use_the_server_and_read_the_answers(with_cors: Running) -> None:
    for origin in (APP, "chrome-extension://1f2e"):
        asked = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
        preflight = requests.options(
            with_cors.url + TRANSCRIPTIONS, headers=asked | PREFLIGHT, timeout=60
        )
        assert preflight.status_code == 200
        assert preflight.headers["Access-Control-Allow-Origin"] == origin
        assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
        assert "x-stainless-lang" in preflight.headers["Access-Control-Allow-Headers"]
        answer = with_cors.post(headers=asked)
        assert answer.ok
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert "Access-Control-Allow-Credentials" not in answer.headers
        wrong = with_cors.post(headers=asked, data={"beam_size": "99"})
        assert wrong.status_code == 400
        assert wrong.headers["Access-Control-Allow-Origin"] == origin
        started = with_cors.post("/jobs", headers=asked)
        assert "Location" in started.headers["Access-Control-Expose-Headers"]


def test_a_stream_is_readable_by_pages_of_named_origins(with_cors: Running) -> None:
    answer = with_cors.post(headers={"Origin": APP}, data={"stream": "true"})
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert with_cors.post(headers=EVIL, data={"stream": "true"}).status_code == 403


def test_pages_of_other_origins_and_rebound_names_stay_out(with_cors: Running) -> None:
    preflight = requests.options(
        with_cors.url + TRANSCRIPTIONS, headers=EVIL | PREFLIGHT, timeout=60
    )
    assert preflight.status_code == 400
    assert "Access-Control-Allow-Origin" not in preflight.headers
    assert with_cors.post(headers=EVIL).status_code == 403
    assert with_cors.post(headers={"Origin": APP, "Host": "evil.example"}).status_code == 421


def test_with_a_key_any_name_will_do_and_pages_need_the_key(with_key: Running) -> None:
    right = {"Authorization": "Bearer hush-hush-little-one"}
    preflight = requests.options(
        with_key.url + TRANSCRIPTIONS, headers=EVIL | PREFLIGHT, timeout=60
    )
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "authorization" in preflight.headers["Access-Control-Allow-Headers"]
    answer = with_key.post(headers=EVIL | right | {"Host": "stt.example"})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "*")
    refused = with_key.post(headers=EVIL)
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, "*")


def test_a_key_without_cors_lets_no_page_read() -> None:
    with running(API_KEY="hush-hush-little-one") as server:
        answer = server.post(headers=EVIL | {"Authorization": "Bearer hush-hush-little-one"})
        assert answer.ok
        assert "Access-Control-Allow-Origin" not in answer.headers
        preflight = requests.options(
            server.url + TRANSCRIPTIONS, headers=EVIL | PREFLIGHT, timeout=60
        )
        assert preflight.status_code == 405


def test_no_get_route_changes_anything(open_server: Running) -> None:
    job = finished_job(open_server)
    jobs = get(open_server, "/jobs").json()
    calls = len(open_server.engine.calls)
    found = [(m, p) for m, p in addresses(open_server.app.routes) if m in ("GET", "HEAD")]
    assert len(found) > 8
    for method, path in found:
        url = open_server.url + path.replace("{job_id}", job).replace("{name:path}", "base")
        assert requests.request(method, url, timeout=60).status_code < 500
    assert [one["id"] for one in get(open_server, "/jobs").json()["data"]] == [
        one["id"] for one in jobs["data"]
    ]
    assert len(open_server.engine.calls) == calls
