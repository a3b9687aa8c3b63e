"""What pages of other sites reach, in a real browser: by forms, images, and rebound names."""

import contextlib
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page

from stt.store.database import Database
from tests.support.chromium import chromium
from tests.support.coordinator_app import PEOPLES_KEY, running_coordinator
from tests.support.pace import until
from tests.support.queue_builder import add_chunks, document
from tests.support.whisper_stand_in import Running, running

pytestmark = pytest.mark.browser

WAIT_MS = 20_000
KEY = "hush-hush-little-one"
UPLOAD = """
async ([url, mode, key]) => {
    const form = new FormData();
    form.append("file", new Blob([new Uint8Array(64)]), "a.wav");
    const headers = key ? {Authorization: `Bearer ${key}`} : {};
    try {
        const answer = await fetch(url, {method: "POST", body: form, mode, headers});
        return [answer.status, answer.type];
    } catch (error) {
        return [0, "failed"];
    }
}
"""
FORM = """
(url) => {
    document.body.innerHTML = `<form method="post" enctype="multipart/form-data" action="${url}">
        <input name="file" value="x"></form>`;
    document.forms[0].submit();
}
"""
IMAGE = """
(url) => new Promise((done) => {
    const image = new Image();
    image.onload = image.onerror = done;
    image.src = url;
}).then(() => null)
"""


class _Blank(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>another site</title><body>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def other_port() -> Iterator[int]:
    """A site on another port of this machine, under whatever name it is called."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Blank)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for which all names of `example` point to this machine."""
    with chromium("--host-resolver-rules=MAP *.example 127.0.0.1") as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with contextlib.closing(browser.new_context()) as context:
        context.set_default_timeout(WAIT_MS)
        yield context.new_page()


def jobs(server: Running) -> list[Any]:
    found: list[Any] = requests.get(server.url + "/jobs", timeout=60).json()["data"]
    return found


def test_a_page_on_a_rebound_name_sees_and_changes_no_jobs(page: Page) -> None:
    with running() as server:
        job = server.post("/jobs").json()["id"]
        port = server.url.rpartition(":")[2]
        opened = page.goto(f"http://evil.example:{port}/")
        assert opened is not None
        assert opened.status == 421
        assert page.evaluate("location.origin") == f"http://evil.example:{port}"
        for method, path in (("GET", "/jobs"), ("GET", f"/jobs/{job}"), ("DELETE", f"/jobs/{job}")):
            script = f"fetch('{path}', {{method: '{method}'}}).then(answer => answer.status)"
            assert page.evaluate(script) == 421, path
        assert page.evaluate(UPLOAD, ["/jobs", "cors", None])[0] == 421
        assert [one["id"] for one in jobs(server)] == [job]


def test_a_form_and_a_script_of_another_site_start_no_job(page: Page, other_port: int) -> None:
    with running() as server:
        port = server.url.rpartition(":")[2]
        for target in (f"http://localhost:{port}", server.url):
            for site in ("evil.example", "localhost"):
                page.goto(f"http://{site}:{other_port}/")
                page.evaluate(UPLOAD, [f"{target}/jobs", "no-cors", None])
                assert page.evaluate(UPLOAD, [f"{target}/jobs", "cors", None]) == [0, "failed"]
                with page.expect_navigation() as answered:
                    page.evaluate(FORM, f"{target}/jobs")
                assert answered.value is not None
                assert answered.value.status == 403
        assert jobs(server) == []
        assert server.engine.calls == []


def test_a_link_opens_the_servers_own_page_which_works(page: Page, other_port: int) -> None:
    with running() as server:
        port = server.url.rpartition(":")[2]
        page.goto(f"http://evil.example:{other_port}/")
        with page.expect_navigation() as answered:
            page.evaluate(f"void (location.href = 'http://localhost:{port}/docs')")
        assert answered.value is not None
        assert answered.value.status == 200
        assert page.evaluate(UPLOAD, ["/v1/audio/transcriptions", "cors", None])[0] in (200, 400)


def test_a_page_of_a_named_origin_uses_a_server_with_its_key(page: Page, other_port: int) -> None:
    origin = f"http://app.example:{other_port}"
    with running(API_KEY=KEY, CORS_ORIGINS=origin) as server:
        page.goto(f"{origin}/")
        url = f"{server.url}/v1/models"
        script = """([url, key]) => fetch(url, {headers: {Authorization: `Bearer ${key}`}})
            .then(answer => answer.json()).then(found => found.data[0].id)"""
        assert page.evaluate(script, [url, KEY]) == "base"
        page.goto(f"http://evil.example:{other_port}/")
        assert page.evaluate(UPLOAD, [f"{server.url}/jobs", "cors", KEY]) == [0, "failed"]


def test_an_image_on_another_port_claims_no_chunk(
    page: Page,
    other_port: int,
    database: Database,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    [id_] = add_chunks(database, 1)
    with running_coordinator(database, tmp_path) as coordinator:
        page.goto(f"{coordinator.url}/login")
        page.fill("input[type=password]", PEOPLES_KEY)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{coordinator.url}/")
        page.goto(f"http://127.0.0.1:{other_port}/")
        image = f"{coordinator.url}/tasks/next?worker_id=x_1&wait=0"
        with caplog.at_level(logging.INFO):
            page.evaluate(IMAGE, image)
            until(lambda: "GET /tasks/next" in caplog.text)
        assert "GET /tasks/next 403" in caplog.text  # 401 would mean that no cookie was sent
        assert document(database, id_)["processing_by"] is None


def test_the_login_form_works_without_script_under_a_name_of_the_network(
    browser: Browser, database: Database, tmp_path: Path
) -> None:
    with (
        running_coordinator(database, tmp_path) as coordinator,
        contextlib.closing(browser.new_context(java_script_enabled=False)) as context,
    ):
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        home = f"http://hub.example:{coordinator.url.rpartition(':')[2]}/"
        page.goto(f"{home}login")
        page.fill("input[type=password]", PEOPLES_KEY)
        page.keyboard.press("Enter")
        page.wait_for_url(home)
