"""`stt rename`: give a recording another name."""

from typing import Annotated

import typer

from stt.cli.console import print_line
from stt.cli.options import DATABASE_SETTINGS, with_settings
from stt.local.stack import open_database
from stt.settings import Settings
from stt.store.recordings import MongoRecordings
from stt.store.renaming import rename

EXAMPLES = """\b
Examples:
  stt rename REC0042.mp3 'Interview with Anna'     with .mp3 behind it
  stt rename 6903ce2e3006e94c81d59b3f standup.m4a

\b
Lists, exports and the search call it so from then on. The file on the disk keeps its name, and
`stt export FILE` finds the recording by what is in the file.
"""


@with_settings(*DATABASE_SETTINGS)
def rename_command(
    settings: Settings,
    recording: Annotated[
        str, typer.Argument(metavar="RECORDING", help="A file, or a name, path or id of `stt ls`.")
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name, without folders.")],
) -> None:
    """Give a recording another name."""
    with open_database(settings) as database:
        recordings = MongoRecordings(database)
        found = recordings.find(recording)
        before = recordings.labels([found])[found.id]
        new = rename(database, found.id, name, before=found.filename)
    print_line(f"{before} is called {new} now")
