"""`stt watch service …`: watched folders as a service of this user, started at every login."""

from pathlib import Path
from typing import Annotated

import click
import typer

from stt.cli.console import print_note
from stt.cli.options import with_settings
from stt.cli.service_commands import add_service_commands, install, own_command
from stt.cli.watch import distinct_folders, text_output
from stt.errors import ConfigError
from stt.settings import Settings, variable_of
from stt.system.service import Program, ServiceKind

WATCH = ServiceKind(
    name="stt-watch",
    what="the watch",
    description="stt watch: transcribes what comes into folders",
    commands="stt watch service",
    by_hand="stt ingest --watch FOLDER",
)

_EXAMPLES = """\b
Examples:
  stt watch service install ~/Recordings
  stt watch service logs --follow

\b
Without a service: stt ingest --watch ~/Recordings
"""

_SERVICE_EXAMPLES = """\b
Examples:
  stt watch service install ~/Recordings       start now, and at every login
  stt watch service status
  stt watch service uninstall

\b
A systemd unit on Linux, a launchd agent on macOS; neither needs an administrator. Settings that
are no flags, such as MONGO_URL, go into a file .env in the folder that `install` prints.
"""

_INSTALL_EXAMPLES = """\b
Examples:
  stt watch service install ~/Recordings
  stt watch service install ~/Recordings ~/Calls --format srt --language de
  stt watch service install ~/Calls --channels split --output ~/Transcripts

\b
Flags behind the folders are those of `stt ingest`. Once more, it replaces the earlier service.
"""

watch_app = typer.Typer(
    name="watch",
    help="Keep watching folders as a service.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=_EXAMPLES,
)
_service_app = typer.Typer(
    name="service",
    help="Watch folders as a service of yours: systemd on Linux, launchd on macOS.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=_SERVICE_EXAMPLES,
)
watch_app.add_typer(_service_app)


@_service_app.command(
    "install",
    epilog=_INSTALL_EXAMPLES,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@with_settings()
def install_command(
    settings: Settings,
    words: Annotated[
        list[str],
        typer.Argument(metavar="FOLDER... [FLAG...]", help="Folders, then flags of `stt ingest`."),
    ],
) -> None:
    """Write the service anew and start it, now and at every login."""
    words = [word for word in words if word != "--"]
    count = next((at for at, word in enumerate(words) if word.startswith("-")), len(words))
    folders = distinct_folders([Path(word) for word in words[:count]])
    flags = _checked_flags(words[count:])
    config = settings.config_dir.absolute()
    try:
        config.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(f"{config} cannot be made: {error.strerror}") from error
    command = own_command("ingest", "--watch", *map(str, folders), *flags)
    install(WATCH, Program(command, config))
    if others := sorted(variable_of(name) for name in settings.model_fields_set - {"config_dir"}):
        print_note(
            f"Note: the service does not see {', '.join(others)} of this shell or folder; what it"
            f" needs of them goes into {config / '.env'}, then: stt watch service restart"
        )


def _checked_flags(flags: list[str]) -> list[str]:
    """Return flags of `stt ingest` with a whole path for the output. Raise click's UsageError."""
    # Import it here: it imports this module.
    from stt.cli.app import app

    group = typer.main.get_command(app)
    assert isinstance(group, click.Group | typer.core.TyperGroup)
    context = group.commands["ingest"].make_context("stt ingest", ["--watch", ".", *flags])
    if len(context.params["paths"]) > 1:
        raise typer.BadParameter("Write the folders before the flags.")
    output = text_output(context.params["output"], context.params["format_names"])
    return flags if output.folder is None else [*flags, "--output", str(output.folder)]


add_service_commands(
    _service_app, WATCH, "what is in flight is finished, and what comes meanwhile is found later."
)
