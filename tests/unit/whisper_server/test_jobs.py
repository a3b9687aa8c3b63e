"""Jobs by themselves, with a clock of their own."""

import asyncio
from collections.abc import Iterator

import pytest
from starlette.responses import Response

from tests.support.event_loop import in_event_loop
from tests.support.whisper_stand_in import Running, running
from whisper_server.errors import ApiError, InvalidAudio, UnknownJob
from whisper_server.jobs import Job, Jobs
from whisper_server.scheduler_state import Progress

RESULT = Response('{"text":"one"}', media_type="application/json")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def new_job() -> Job:
    return Job("transcribe", "json", "a.wav")


async def succeed(job: Job) -> Response:
    return RESULT


async def until_forgotten(job: Job) -> Response:
    await job.forgotten.wait()
    return RESULT


async def finished(jobs: Jobs) -> Job:
    """A new job of `jobs` that has come to its end."""
    job = new_job()
    jobs.start(job, succeed)
    while job.finished_at is None:
        await asyncio.sleep(0)
    return job


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(MAX_QUEUE=4) as server:
        yield server


@in_event_loop
async def test_a_job_goes_through_its_states() -> None:
    jobs, go = Jobs(60, 10), asyncio.Event()

    async def work(job: Job) -> Response:
        await go.wait()
        job.advance(Progress(2.0, 8.0, (), (1,)))
        await go.wait()
        return RESULT

    job = new_job()
    jobs.start(job, work)
    assert jobs.find(job.id) is job
    assert (job.status, job.progress, job.started_at) == ("queued", 0.0, None)
    go.set()
    while job.finished_at is None:
        await asyncio.sleep(0)
    assert (job.status, job.progress, job.instances) == ("done", 1.0, (1,))
    assert job.result == RESULT
    assert job.started_at is not None
    assert job.created_at <= job.started_at <= job.finished_at


def test_progress_stays_below_one_until_the_end() -> None:
    job = new_job()
    job.advance(Progress(0.0, 0.0, (), ()))
    assert (job.status, job.progress, job.seconds_total) == ("processing", 0.0, None)
    job.advance(Progress(5.0, 10.0, (), (0,)))
    assert job.progress == 0.5
    job.advance(Progress(10.0, 10.0, (), (0,)))
    assert 0.99 < job.progress < 1


@in_event_loop
async def test_a_finished_job_is_kept_for_its_time_and_no_longer() -> None:
    clock = Clock()
    jobs = Jobs(60, 10, clock=clock)
    job = await finished(jobs)
    clock.now = 59.9
    assert jobs.find(job.id) is job
    clock.now = 60.1
    with pytest.raises(UnknownJob, match=r"has run since .* UTC"):
        jobs.find(job.id)
    assert not list(jobs.newest_first())


@in_event_loop
async def test_the_oldest_that_ended_goes_first_and_nothing_unfinished() -> None:
    jobs = Jobs(60, 2)
    waits = new_job()
    jobs.start(waits, until_forgotten)
    done = [await finished(jobs) for _ in range(4)]
    assert list(jobs.newest_first()) == [done[3], done[2], waits]
    assert jobs.counts() == {"done": 2, "queued": 1}
    await jobs.close()


@in_event_loop
async def test_a_removed_job_is_told_to_stop_and_leaves_no_trace() -> None:
    jobs, job, ended = Jobs(60, 10), new_job(), asyncio.Event()

    async def work(job: Job) -> Response:
        await job.forgotten.wait()
        ended.set()
        return RESULT

    jobs.start(job, work)
    jobs.remove(job.id)
    await ended.wait()
    await jobs.close()
    assert not jobs.counts()
    with pytest.raises(UnknownJob):
        jobs.remove(job.id)


@in_event_loop
async def test_a_shutdown_says_how_many_jobs_it_loses(caplog: pytest.LogCaptureFixture) -> None:
    jobs = Jobs(60, 10)
    await finished(jobs)
    for _ in range(2):
        jobs.start(new_job(), until_forgotten)
    await jobs.close()
    assert caplog.messages == ["2 unfinished job(s) are lost"]


@pytest.mark.parametrize(
    ("failure", "code"),
    [(InvalidAudio("no audio"), "invalid_audio"), (KeyError("surprise"), "server_error")],
)
@in_event_loop
async def test_what_goes_wrong_is_kept_in_the_job(failure: Exception, code: str) -> None:
    failures: list[ApiError] = []
    jobs, job = Jobs(60, 10, failures.append), new_job()

    async def work(job: Job) -> Response:
        raise failure

    jobs.start(job, work)
    await jobs.close()
    assert failures == [job.error]
    assert job.status == "failed"
    assert job.error is not None
    assert job.error.code == code
    assert "surprise" not in str(job.error)


def test_ids_cannot_be_guessed() -> None:
    ids = {new_job().id for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(one) >= 20 for one in ids)
