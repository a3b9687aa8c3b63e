"""What flags a worker gets, and the exit code of its end."""

from contextlib import nullcontext
from typing import ClassVar

import pytest
from bson import ObjectId

from stt.domain.chunk import Chunk
from stt.domain.progress import Progress
from stt.settings import Settings
from stt.worker.context import WorkOptions
from stt.worker.stats import Stats
from tests.unit.stt.cli.conftest import Run


class FakeWorker:
    """Stands in for the worker: notes what it was given, and ends as it is told to."""

    given: ClassVar[tuple[Settings, WorkOptions]]
    errors: ClassVar[int] = 0
    was_interrupted: ClassVar[bool] = False

    @classmethod
    def at_database(cls, _: object, settings: Settings, options: WorkOptions) -> "FakeWorker":
        cls.given = settings, options
        return cls()

    def progress(self) -> Progress:
        return Progress()

    def run(self, _sum_up: object) -> Stats:
        stats = Stats()
        for _ in range(self.errors):
            stats.failed(Chunk(ObjectId(), None, 0))
        return stats


@pytest.fixture
def fake_worker(monkeypatch: pytest.MonkeyPatch) -> type[FakeWorker]:
    monkeypatch.setattr("stt.worker.worker.Worker", FakeWorker)
    monkeypatch.setattr("stt.cli.worker.open_database", lambda _: nullcontext())
    return FakeWorker


class TestWork:
    def test_the_flags_reach_the_worker_and_win_over_the_environment(
        self, stt: Run, monkeypatch: pytest.MonkeyPatch, fake_worker: type[FakeWorker]
    ) -> None:
        monkeypatch.setenv("STT_SERVER_URL", "http://other")
        monkeypatch.setenv("LEASE_SECONDS", "77")
        flags = "--limit 7 --newest-first --watch --workers 3 --server http://a --server http://b"
        assert stt(*flags.split(), "--one-at-a-time", "--no-word-timestamps") == 0
        settings, options = fake_worker.given
        assert options == WorkOptions(limit=7, newest_first=True, watch=True)
        assert settings.server_urls == ("http://a", "http://b")
        assert (settings.max_parallel_workers, settings.parallel_limit) == (3, 1)
        assert settings.lease_seconds == 77

    def test_what_stops_a_worker_can_be_said_with_flags(
        self, stt: Run, monkeypatch: pytest.MonkeyPatch, fake_worker: type[FakeWorker]
    ) -> None:
        monkeypatch.setenv("NODE_LIMIT", "9")
        flags = (
            "--required-empty-checks 5 --empty-queue-wait 7 --idle-timeout-minutes 8"
            " --server-unreachable-minutes 9 --max-consecutive-failures 4 --max-minutes 55"
            " --persistent"
        )
        assert stt(*flags.split()) == 0
        settings, options = fake_worker.given
        assert (settings.required_empty_checks, settings.empty_queue_wait_seconds) == (5, 7)
        assert (settings.idle_timeout_minutes, settings.server_unreachable_minutes) == (8, 9)
        assert (settings.max_consecutive_failures, settings.max_minutes) == (4, 55)
        assert settings.persistent
        assert options.limit == 9

    @pytest.mark.parametrize(("errors", "interrupted", "code"), [(0, 0, 0), (2, 0, 1), (2, 1, 130)])
    def test_the_exit_code_tells_how_it_ended(
        self,
        stt: Run,
        monkeypatch: pytest.MonkeyPatch,
        fake_worker: type[FakeWorker],
        errors: int,
        interrupted: int,
        code: int,
    ) -> None:
        monkeypatch.setattr(fake_worker, "errors", errors)
        monkeypatch.setattr(fake_worker, "was_interrupted", bool(interrupted))
        assert stt() == code
