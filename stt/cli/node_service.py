"""`stt node service …`: the node as a service of this user, started at every login."""

from typing import Annotated

import typer

from stt.cli.options import with_settings
from stt.cli.service_commands import add_service_commands, install, own_command
from stt.node.credentials import CredentialsFile
from stt.settings import Settings
from stt.system.service import Program, ServiceKind

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

NODE = ServiceKind(
    name="stt-node",
    what="the node",
    description="stt node: transcribes for a coordinator",
    commands="stt node service",
    by_hand="stt node start --no-browser",
)

service_app = typer.Typer(
    name="service",
    help="Keep the node running as a service of yours: systemd on Linux, launchd on macOS.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=_EXAMPLES,
)


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
    command = own_command("node", "start", "--no-browser", *(flags or ()))
    install(NODE, Program(command, node.folder))


add_service_commands(
    service_app, NODE, "the node finishes what is in flight, and stays registered."
)
