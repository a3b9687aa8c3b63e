"""Bodies that are too large to be read into memory."""

from collections.abc import Iterator

from tests.support.coordinator_app import CoordinatorThread
from tests.support.remote_member import Member


def test_a_stranger_cannot_send_a_large_body(coordinator: CoordinatorThread) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 1024

    with coordinator.anonymous() as anonymous:
        assert anonymous.post("/login", data=b"x" * 70_000).status_code == 413
        assert anonymous.post("/login", data=endless()).status_code == 413


def test_a_body_that_is_made_to_take_long_is_refused_at_once(mac: Member) -> None:
    kilobytes = "[" + ",".join(["[]"] * 400_000) + "]"
    for path, status in (("/tasks/renew", 413), ("/tasks/complete", 422)):
        answer = mac.session.post(path, data=kilobytes)
        assert answer.status_code == status
    segments: dict[str, object] = {"transcript": {"segments": [{}] * 90_000}}
    answer = mac.session.post("/tasks/complete", json=segments)
    assert answer.status_code == 422
    assert answer.json()["error"]["message"].count("segments") <= 3
    assert mac.session.post("/tasks/complete", data="[" * 9_000_000).status_code == 413
