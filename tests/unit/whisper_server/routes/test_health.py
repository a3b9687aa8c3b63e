"""Whether the process is alive and the model ready."""

import contextlib
import threading
from collections.abc import Callable

import requests

from tests.support.pace import until
from tests.support.whisper_stand_in import Running, error_of, running


def in_background(call: Callable[[], object]) -> threading.Thread:
    def swallow() -> None:
        with contextlib.suppress(requests.RequestException):
            call()

    thread = threading.Thread(target=swallow, daemon=True)
    thread.start()
    return thread


def test_ready_names_the_process_so_that_clients_know_when_another_one_answers() -> None:
    with running() as one, running() as other:
        names = [requests.get(s.url + "/ready", timeout=60).json()["instance"] for s in (one, one)]
        assert names[0] == names[1] != ""
        assert requests.get(other.url + "/ready", timeout=60).json()["instance"] != names[0]


def test_a_full_line_sends_away_and_counts_itself_in_ready() -> None:
    with running(busy=True) as server:
        threads = [in_background(server.post) for _ in range(3)]
        until(lambda: server.service.scheduler.state().waiting == 2)
        until(lambda: server.service.scheduler.state().in_work == 1)
        ready = requests.get(server.url + "/ready", timeout=60).json()
        assert (ready["capacity"], ready["in_flight"], ready["waiting"]) == (1, 1, 2)
        response = server.post()
        assert (response.status_code, error_of(response)["code"]) == (503, "queue_full")
        assert int(response.headers["Retry-After"]) >= 1
        server.engine.go.set()
        for thread in threads:
            thread.join(60)
        assert len(server.engine.calls) == 3


def get(server: Running, path: str, **more: object) -> requests.Response:
    return requests.get(server.url + path, timeout=60, **more)  # type: ignore[arg-type]


def test_health_and_readiness_are_open_to_all() -> None:
    with running(API_KEY="hunter2-and-friends") as server:
        assert get(server, "/health").json()["status"] == "ok"
        body = get(server, "/ready").json()
    assert body["instance"]
    assert {"model", "device", "compute_type", "capacity", "in_flight", "waiting"} <= set(body)
