"""`stt status` and `stt workers`: show the queue and the workers."""

import time
from dataclasses import asdict
from typing import Annotated

import typer

from stt.cli.console import Screen, show, show_again, show_json
from stt.cli.options import DATABASE_SETTINGS, AsJson, with_settings
from stt.cli.tables import status_screen, workers_table
from stt.local.place import place_of
from stt.local.stack import open_database
from stt.settings import Settings
from stt.store.status import queue_status
from stt.store.workers import MongoRoster, WorkerStatus

EXAMPLES = """\b
Examples:
  stt status
  stt status --watch
  stt status --json | jq .counts.pending
"""

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
) -> None:
    """Show the queue: states, speed, time left, failures."""
    with open_database(settings) as database:
        roster = MongoRoster(database)

        def screen() -> Screen:
            status = queue_status(database, settings.lease_seconds)
            return status_screen(status, list(roster.members()), place_of(settings))

        while as_json:
            status = queue_status(database, settings.lease_seconds)
            workers = [_json_of(member) for member in roster.members()]
            show_json(asdict(status) | {"workers": workers}, on_one_line=watch)
            if not watch:
                return
            time.sleep(interval)
        if watch:
            show_again(screen, interval)
        else:
            show(screen())


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
