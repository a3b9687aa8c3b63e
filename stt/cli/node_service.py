"""`stt node service …`: the node as a service of this user, started at every login."""

import subprocess
import sys
from typing import Annotated

import typer

from stt.cli.console import print_line
from stt.cli.options import with_settings
from stt.node.credentials import CredentialsFile
from stt.node.service import Command, Program, service_of_this_machine
from stt.settings import Settings

_EXAMPLES = """\b
Examples:
  stt node service install                                     start now, and at every login
  stt node service install -- --server-url http://gpu-box:8081  with flags of `stt node start`
  stt node service logs --follow

\b
A systemd unit on Linux, a launchd agent on macOS; neither needs an administrator. Settings that
are no flags, such as STT_API_KEY, go into a file .env beside node.json.
"""

_INSTALL_EXAMPLES = """\b
Examples:
  stt node service install
  stt node service install -- --server http://gpu-box:8081 --workers 4

\b
Once more with other flags, it replaces the earlier service.
"""

_STATUS_EXAMPLES = """\b
Examples:
  stt node service status
  stt node service status || stt node service start
"""

_LOGS_EXAMPLES = """\b
Examples:
  stt node service logs
  stt node service logs --lines 1000 --follow
"""

service_app = typer.Typer(
    name="service",
    help="Keep the node running as a service of yours: systemd on Linux, launchd on macOS.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=_EXAMPLES,
)


def _example(command: str) -> str:
    return f"\b\nExamples:\n  stt node service {command}\n"


@service_app.command("install", epilog=_INSTALL_EXAMPLES)
@with_settings()
def install_command(
    settings: Settings,
    flags: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- FLAG", help="Flags for `stt node start`, behind --."),
    ] = None,
) -> None:
    """Write the service anew and start it, now and at every login."""
    node = CredentialsFile(settings.config_dir)
    node.load()  # the service of a machine that is not registered would only fail
    service = service_of_this_machine()
    # As this very process was started; a built one-file program is its own.
    module = () if getattr(sys, "frozen", False) else ("-P", "-m", "stt")
    command = (sys.executable, *module, "node", "start", "--no-browser", *(flags or ()))
    service.install(Program(command, node.folder))
    print_line(f"The node runs as a service: {service.path}")
    if advice := service.advice():
        print_line(advice)


@service_app.command("uninstall", epilog=_example("uninstall"))
def uninstall_command() -> None:
    """Stop the service and remove it; the node stays registered."""
    removed = service_of_this_machine().uninstall()
    print_line("The service is removed" if removed else "There was no service of the node")


def _add_control(command: Command, done: str, help_text: str) -> None:
    @service_app.command(command, help=help_text, epilog=_example(command))
    def control() -> None:
        service_of_this_machine().control(command)
        print_line(done)


_add_control("start", "Started", "Start the service.")
_add_control(
    "stop", "Stopped", "Stop the service until the next login; the node finishes what is in flight."
)
_add_control("restart", "Restarted", "Stop the service and start it again.")


@service_app.command("status", epilog=_STATUS_EXAMPLES)
def status_command() -> None:
    """Print whether the service runs; exit with 1 if not."""
    service = service_of_this_machine()
    state = service.state()
    if not state.is_installed:
        print_line("There is no service of the node here: stt node service install")
        raise typer.Exit(1)
    print_line(f"{state.detail}: {service.path}")
    if not state.is_running:
        raise typer.Exit(1)


@service_app.command("logs", epilog=_LOGS_EXAMPLES)
def logs_command(
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=1, max=1_000_000, help="How many lines.")
    ] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines.")] = False,
) -> None:
    """Show the service's log."""
    code = subprocess.call(service_of_this_machine().log_command(lines, follow))
    raise typer.Exit(code)
