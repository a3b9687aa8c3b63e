"""What Prometheus reads."""

import uuid

from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread, KeyedSession
from tests.support.queue_builder import add_chunks

SAID = {"segments": [{"start": 0.0, "end": 1.0, "text": "word"}]}


def test_prometheus_reads_the_queue_and_the_requests(
    coordinator: CoordinatorThread, queue: Database, person: KeyedSession
) -> None:
    add_chunks(queue, 4)
    add_chunks(queue, 1, transcribed_at=queue.server_time(), transcript=SAID)
    coordinator.coordinator.queue_monitor.invalidate()
    person.get("/tasks?limit=1&cursor=nonsense")
    answer = person.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    for line in (
        'stt_chunks{state="pending"} 4.0',
        "stt_audio_seconds_transcribed_total 30.0",
        'stt_nodes{state="offline"} 0.0',
        "stt_database_up 1.0",
    ):
        assert line in lines
    assert any(
        line.startswith('stt_requests_total{method="GET",route="/tasks",status="422"}')
        for line in lines
    )


def test_addresses_that_do_not_exist_make_no_labels(person: KeyedSession) -> None:
    person.get(f"/{uuid.uuid4().hex}")
    text = person.get("/metrics").text
    assert 'route="none"' in text
    assert text.count('status="404"') <= 2


def test_it_needs_the_peoples_key(coordinator: CoordinatorThread) -> None:
    with coordinator.anonymous() as anonymous:
        assert anonymous.get("/metrics").status_code == 401
