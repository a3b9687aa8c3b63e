"""`/system` and `/metrics` of a server around a stand-in engine."""

import http.client
import json
import socket
import threading
from urllib.parse import urlsplit

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.support.pace import until
from tests.support.whisper_stand_in import TRANSCRIPTIONS, Running, StandInEngine, running, wav
from whisper_server import hardware
from whisper_server.hardware import Card


def get(server: Running, path: str, **more: object) -> requests.Response:
    return requests.get(server.url + path, timeout=60, **more)  # type: ignore[arg-type]


def counts(server: Running, name: str) -> dict[str, float]:
    """The samples of a counter by their labels' values."""
    families = text_string_to_metric_families(get(server, "/metrics").text)
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return {" ".join(sample.labels.values()): sample.value for sample in samples}


def test_the_system_page_tells_model_shape_and_why() -> None:
    with running() as server:
        body = get(server, "/system").json()
    assert body["model"] == {
        "name": "base",
        "backend": "faster-whisper",
        "device": "cpu",
        "compute_type": "int8",
        "is_ready": True,
    }
    assert body["shape"] == {"streams": 1, "threads": 1, "batch_size": 1, "reason": "of a test"}
    assert body["jobs"] == {"queued": 0, "processing": 0, "done": 0, "failed": 0}
    assert body["memory"]["process_bytes"] > 10_000_000
    assert body["memory"]["machine_bytes"] > body["memory"]["process_bytes"]
    assert {"stt", "python", "ctranslate2", "faster-whisper"} <= set(body["versions"])


def test_the_system_page_follows_the_work() -> None:
    engine = StandInEngine()
    with running(engine, busy=True) as server:
        assert get(server, "/system").json()["speed"] is None
        calls = [threading.Thread(target=server.post) for _ in range(2)]
        for call in calls:
            call.start()
        until(lambda: bool(engine.batches))
        until(lambda: get(server, "/system").json()["queue"]["waiting"] == 1)
        busy = get(server, "/system").json()
        ready = get(server, "/ready").json()
        engine.go.set()
        for call in calls:
            call.join()
        until(lambda: get(server, "/system").json()["queue"]["in_work"] == 0)
        idle = get(server, "/system").json()
    assert busy["instances"][0]["status"] == "busy"
    assert busy["queue"]["in_work"] == busy["queue"]["capacity"] == 1
    assert (ready["capacity"], ready["in_flight"], ready["waiting"]) == (1, 1, 1)
    assert idle["instances"][0]["status"] == "idle"
    assert idle["instances"][0]["windows"] == 2
    assert idle["instances"][0]["batches"] == 2
    assert idle["instances"][0]["audio_seconds"] == 2.0
    assert idle["batch_fill"] == 1.0
    assert idle["speed"] > 0


def test_the_system_page_answers_while_the_model_loads() -> None:
    with running(loaded=False) as server:
        assert get(server, "/ready").status_code == 503
        body = get(server, "/system").json()
    assert body["model"]["is_ready"] is False


def test_the_system_page_shows_the_memory_of_the_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """No card is at hand: what `nvidia-smi` would say is put in its place."""
    monkeypatch.setattr(hardware, "cards", lambda: (Card(0, "RTX 4090", 24 * 2**30, 2**30),))
    with running() as server:
        assert get(server, "/system").json()["memory"]["cards"] == []  # the model is on the CPU
        object.__setattr__(server.service.plan, "device", "cuda")
        (card,) = get(server, "/system").json()["memory"]["cards"]
    assert card == {"index": 0, "name": "RTX 4090", "memory_bytes": 24 * 2**30, "used_bytes": 2**30}


@pytest.mark.parametrize("path", ["/system", "/metrics"])
def test_with_a_key_only_its_owners_see_what_the_server_does(path: str) -> None:
    with running(API_KEY="hunter2-and-friends") as server:
        assert get(server, path).status_code == 401
        with_key = get(server, path, headers={"Authorization": "Bearer hunter2-and-friends"})
        assert with_key.status_code == 200
        assert "hunter2" not in with_key.text


def test_answers_are_counted_under_the_template_of_their_route() -> None:
    with running() as server:
        for job in ("one", "two", "three"):
            get(server, f"/jobs/{job}")
            get(server, f"/nowhere/{job}")
        assert server.post().ok
        found = counts(server, "whisper_requests_total")
    assert found["/jobs/{job_id} 404"] == 3
    assert found["none 404"] == 3
    assert found[f"{TRANSCRIPTIONS} 200"] == 1
    assert not any("two" in labels for labels in found)


def test_errors_are_counted_by_their_code() -> None:
    with running() as server:
        files = {"file": ("a.txt", b"no sound")}
        assert server.post(files=files).status_code == 400
        get(server, "/nowhere")
        found = counts(server, "whisper_errors_total")
    assert found["invalid_audio"] == 1
    assert found["not_found"] == 1


def test_audio_batches_and_stages_are_told() -> None:
    with running() as server:
        assert server.post(files={"file": ("a.wav", wav(2.0))}).ok
        until(lambda: counts(server, "whisper_audio_seconds_total") == {"": 2.0})
        stages = counts(server, "whisper_stage_seconds_count")
        assert counts(server, "whisper_batch_windows_count") == {"": 1.0}
        assert counts(server, "whisper_decoded_audio_seconds_total") == {"": 2.0}
        assert counts(server, "whisper_queue_audio_seconds") == {"": 0.0}
    assert set(stages) == {"prepare", "queue", "encode", "decode"}


def test_a_caller_who_hangs_up_is_counted_as_gone() -> None:
    engine = StandInEngine()
    with running(engine, busy=True) as server:
        parts = urlsplit(server.url)
        body = requests.Request("POST", server.url, files={"file": ("a.wav", wav(1.0))}).prepare()
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        connection.request("POST", TRANSCRIPTIONS, body.body, dict(body.headers))
        until(lambda: bool(engine.batches))
        assert isinstance(connection.sock, socket.socket)
        connection.sock.close()
        until(lambda: counts(server, "whisper_requests_total").get(f"{TRANSCRIPTIONS} 499") == 1)


def test_metrics_say_what_they_are() -> None:
    with running() as server:
        response = get(server, "/metrics")
        described = json.dumps(get(server, "/openapi.json").json()["paths"]["/metrics"])
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    assert "Prometheus" in described
