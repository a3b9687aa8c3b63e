"""Bodies that are too large to be read into memory."""

from collections.abc import Iterator

from tests.support.coordinator_app import CoordinatorThread


def test_a_stranger_cannot_send_a_large_body(coordinator: CoordinatorThread) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 1024

    with coordinator.anonymous() as anonymous:
        assert anonymous.post("/login", data=b"x" * 70_000).status_code == 413
        assert anonymous.post("/login", data=endless()).status_code == 413
