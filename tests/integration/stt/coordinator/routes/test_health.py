"""Whether the coordinator and its database work."""

from tests.support.coordinator_app import CoordinatorThread


def test_health_is_open_and_tells_of_the_database(coordinator: CoordinatorThread) -> None:
    with coordinator.anonymous() as anonymous:
        for path in ("/health", "/api/system/health"):
            received = anonymous.get(path).json()
            assert (received["status"], received["database"]) == ("ok", True)
            assert anonymous.head(path).status_code == 200


def test_health_says_degraded_without_a_database(lonely: CoordinatorThread) -> None:
    with lonely.anonymous() as anonymous:
        answer = anonymous.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.elapsed.total_seconds() < 3
