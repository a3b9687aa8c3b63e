"""The commands of every service: `uninstall`, `start`, `stop`, `restart`, `status`, `logs`."""

import subprocess
import sys
from typing import Annotated

import typer

from stt.cli.console import print_line
from stt.system.service import Command, Program, ServiceKind, service_of_this_machine


def add_service_commands(app: typer.Typer, kind: ServiceKind, stopping: str) -> None:
    """Add the commands; `stopping`: what happens when the service is stopped."""
    name = kind.commands

    @app.command("uninstall", epilog=_examples(f"{name} uninstall"))
    def uninstall_command() -> None:
        """Stop the service and remove it."""
        removed = service_of_this_machine(kind).uninstall()
        none = f"There was no service of {kind.what}"
        print_line("The service is removed" if removed else none)

    _add_control(app, kind, "start", "Started", "Start the service.")
    _add_control(app, kind, "stop", "Stopped", f"Stop the service until the next login; {stopping}")
    _add_control(app, kind, "restart", "Restarted", "Stop the service and start it again.")

    @app.command("status", epilog=_examples(f"{name} status", f"{name} status || {name} start"))
    def status_command() -> None:
        """Print whether the service runs; exit with 1 if not."""
        service = service_of_this_machine(kind)
        state = service.state()
        if not state.is_installed:
            print_line(f"There is no service of {kind.what} here: {name} install")
            raise typer.Exit(1)
        print_line(f"{state.detail}: {service.path}")
        if not state.is_running:
            raise typer.Exit(1)

    @app.command("logs", epilog=_examples(f"{name} logs", f"{name} logs --lines 1000 --follow"))
    def logs_command(
        lines: Annotated[
            int, typer.Option("--lines", "-n", min=1, max=1_000_000, help="How many lines.")
        ] = 100,
        follow: Annotated[
            bool, typer.Option("--follow", "-f", help="Go on with new lines.")
        ] = False,
    ) -> None:
        """Show the service's log."""
        command = service_of_this_machine(kind).log_command(lines, follow)
        raise typer.Exit(subprocess.call(command))


def install(kind: ServiceKind, program: Program) -> None:
    """Write the service anew and start it; print where it is, and what the user should know."""
    service = service_of_this_machine(kind)
    service.install(program)
    print_line(f"{kind.what[:1].upper()}{kind.what[1:]} runs as a service: {service.path}")
    if advice := service.advice():
        print_line(advice)


def own_command(*arguments: str) -> tuple[str, ...]:
    """Return a command of this program, started as this very process was."""
    # A built one-file program is its own.
    module = () if getattr(sys, "frozen", False) else ("-P", "-m", "stt")
    return (sys.executable, *module, *arguments)


def _add_control(
    app: typer.Typer, kind: ServiceKind, command: Command, done: str, help_text: str
) -> None:
    @app.command(command, help=help_text, epilog=_examples(f"{kind.commands} {command}"))
    def control() -> None:
        service_of_this_machine(kind).control(command)
        print_line(done)


def _examples(*commands: str) -> str:
    return "\b\nExamples:\n" + "".join(f"  {command}\n" for command in commands)
