"""What every command needs: options that mean the same everywhere, settings, database, names."""

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer
from bson import ObjectId

from stt.domain.chunk import Recording
from stt.errors import Ambiguous, NotFound
from stt.settings import Settings, load_settings
from stt.store.database import Database
from stt.store.export import has_chunks
from stt.store.recordings import MongoRecordings

MongoUrl = Annotated[
    str | None,
    typer.Option(
        "--mongo-url",
        metavar="URL",
        help="The fleet's database. A URL with a password in it belongs into the environment as "
        "MONGO_URL: others on this machine can read flags. Without either, a database embedded "
        "in this machine is used.",
    ),
]
DatabaseName = Annotated[
    str | None,
    typer.Option(
        "--database", metavar="NAME", help="Database on that server (DATABASE_NAME; stt)."
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", metavar="DIR", help="Where the embedded database lives (STT_DATA_DIR)."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON with keys that stay the same.")]


def settings_of(ctx: typer.Context, **flags: object) -> Settings:
    """The settings under the flags of this command, and under those written before its name."""
    before = ctx.find_root().meta.get("stt.flags", {})
    return load_settings(**(before | {n: flag for n, flag in flags.items() if flag is not None}))


def remember_flags(ctx: typer.Context, **flags: object) -> None:
    """Keeps the root command's flags for `settings_of` of the command that follows."""
    ctx.meta["stt.flags"] = {name: flag for name, flag in flags.items() if flag is not None}


@contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """The database of MONGO_URL, or else the embedded one; its indexes are there.

    Raises ConfigError and DatabaseUnavailable.
    """
    if settings.mongo_url is None:
        # It takes a process of its own and an optional extra: looked for only when it is wanted.
        from stt.local import stack as local_stack

        with local_stack.open_database(settings) as database:
            database.ensure_indexes()
            yield database
        return
    with Database(settings.mongo_url.get_secret_value(), settings.database_name) as database:
        database.ensure_indexes()
        yield database


def find_recording(database: Database, name: str) -> Recording:
    """The source with this id, file name, or path to such a file. Raises NotFound with advice."""
    recordings = MongoRecordings(database)
    try:
        return recordings.find(name)
    except Ambiguous:
        raise
    except NotFound:
        if ObjectId.is_valid(name) and has_chunks(database, ObjectId(name)):
            return Recording(ObjectId(name), filename=name)
    file_name = Path(name).name
    if file_name not in (name, ""):
        return find_recording(database, file_name)
    known = {recording.filename for recording in recordings.all()}
    near = get_close_matches(name, known, n=3) or sorted(
        candidate for candidate in known if name.casefold() in candidate.casefold()
    )
    advice = (
        f"Did you mean {' or '.join(map(repr, near[:3]))}?" if near else "`stt status` lists them."
    )
    raise NotFound(f"No source is called {name!r}. {advice}")


def chunk_ids(names: list[str]) -> list[ObjectId]:
    """Ids as typed. Raises typer.BadParameter for what cannot be one."""
    for name in names:
        if not ObjectId.is_valid(name):
            raise typer.BadParameter(
                f"{name!r} is not a chunk id: 24 hexadecimal digits, as `stt status` shows them."
            )
    return [ObjectId(name) for name in names]


def place_of(settings: Settings) -> str:
    """Name and place of the database, for people to see: without a password or other secrets."""
    if settings.mongo_url is None:
        return f"{settings.database_name} in {settings.data_dir}"
    scheme, _, rest = settings.mongo_url.get_secret_value().partition("://")
    hosts = rest.rpartition("@")[2].partition("?")[0].partition("/")[0]
    return f"{settings.database_name} at {scheme}://{hosts}"
