"""`stt status` and `stt workers`: show the queue and the workers."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import asdict
from typing import Annotated

import typer

from stt.cli.console import Screen, show, show_again, show_json
from stt.cli.options import DATABASE_SETTINGS, AsJson, with_settings
from stt.cli.tables import counting_screen, status_screen, workers_table
from stt.local.place import place_of
from stt.local.stack import open_database
from stt.settings import Settings
from stt.store.status import QueueStatus, queue_status
from stt.store.workers import MongoRoster, WorkerStatus

EXAMPLES = """\b
Examples:
  stt status
  stt status --watch
  stt status --json | jq .counts.pending

\b
Where the chunks cannot be counted within 2 s, it shows the rest and says so; --wait waits for them,
as --json does.
"""

_COUNT_SECONDS = 2.0

WORKERS_EXAMPLES = """\b
Examples:
  stt workers
  stt workers --json | jq '.[] | select(.is_alive) | .id'
"""


@with_settings(*DATABASE_SETTINGS)
def status_command(
    settings: Settings,
    as_json: AsJson = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Repeat until Ctrl-C.")] = False,
    interval: Annotated[
        float,
        typer.Option(
            min=0.1, max=86_400, metavar="S", help="Seconds between two updates of --watch."
        ),
    ] = 2.0,
    must_wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the counts, however long they take.")
    ] = False,
) -> None:
    """Show the queue: states, speed, time left, failures."""
    with (
        open_database(settings, with_indexes=False) as database,
        database.without_time_limit() as patient,
    ):
        roster, where = MongoRoster(database), place_of(settings)
        counting = _Counting(lambda: queue_status(patient, settings.lease_seconds))

        def screen() -> Screen:
            status = counting.get(None if must_wait else _COUNT_SECONDS)
            members = list(roster.members())
            if status is None:
                return counting_screen(members, where)
            return status_screen(status, members, where)

        while as_json:
            status = queue_status(patient, settings.lease_seconds)
            workers = [_json_of(member) for member in roster.members()]
            show_json(asdict(status) | {"workers": workers}, on_one_line=watch)
            if not watch:
                return
            time.sleep(interval)
        if watch:
            show_again(screen, interval)
        else:
            show(screen())


class _Counting:
    """Computes the status in threads of its own, one at a time, and keeps the latest."""

    def __init__(self, compute: Callable[[], QueueStatus]) -> None:
        self._compute = compute
        self._running: Future[QueueStatus] | None = None
        self._latest: QueueStatus | None = None

    def get(self, seconds: float | None) -> QueueStatus | None:
        """Return the status; after so many seconds the latest one, None if there is none yet."""
        if self._running is None:
            self._running = Future()
            # A daemon: the command's end waits for none.
            threading.Thread(target=self._run, args=(self._running,), daemon=True).start()
        if wait([self._running], seconds).done:
            self._latest, self._running = self._running.result(), None
        return self._latest

    def _run(self, future: Future[QueueStatus]) -> None:
        try:
            future.set_result(self._compute())
        except Exception as error:
            future.set_exception(error)


@with_settings(*DATABASE_SETTINGS)
def workers_command(settings: Settings, as_json: AsJson = False) -> None:
    """Show the workers of the last day."""
    with open_database(settings) as database:
        members = list(MongoRoster(database).members())
    if as_json:
        show_json([_json_of(member) for member in members])
    else:
        show(workers_table(members))


def _json_of(member: WorkerStatus) -> dict[str, object]:
    """Return a worker as one flat JSON object."""
    return {
        "id": member.id,
        "is_alive": member.is_alive,
        "age_seconds": round(member.age_seconds, 1),
        **asdict(member.report),
    }
