"""`stt coordinator`: serve the queue over HTTP, with web pages."""

import logging
from importlib.util import find_spec
from typing import Annotated

import typer

from stt.cli.console import print_line, setup_logging
from stt.cli.notifying import notifying
from stt.cli.options import DATABASE_SETTINGS, LogMore, Quiet, with_settings
from stt.coordinator.store.sessions import Sessions
from stt.errors import ConfigError
from stt.local.stack import open_database
from stt.settings import Settings

EXAMPLES = """\b
Examples:
  stt coordinator                        on this machine only: http://127.0.0.1:8000
  stt coordinator --host 0.0.0.0         for the whole network
  stt coordinator --public-url https://stt.example.org --trusted-proxies 127.0.0.1
                                         behind a proxy on this machine that adds TLS
  stt coordinator --new-key              a new key for people; all sessions end

\b
The key for people is STT_COORDINATOR_KEY; it has no flag, since other users can read the flags of a
running program. Without it the first start makes one, prints it once and stores only its hash. Any
number of coordinators may run on one database, and each may be stopped at any time.

\b
Exit codes: 0 stopped · 2 usage · 3 configuration or port · 4 database unreachable · 130 interrupted
"""

_MODULES = ("fastapi", "fastapi_offline", "prometheus_client", "python_multipart", "uvicorn",
            "websockets")  # fmt: skip

logger = logging.getLogger(__name__)


@with_settings(
    "coordinator_host",
    "coordinator_port",
    "public_url",
    "trusted_proxies",
    "keep_audio",
    "on_done_command",
    *DATABASE_SETTINGS,
)
def coordinator_command(
    settings: Settings,
    new_key: Annotated[
        bool,
        typer.Option(
            "--new-key", help="Make a new key for people; the old one is no longer valid."
        ),
    ] = False,
    quiet: Quiet = False,
    verbose: LogMore = False,
) -> None:
    """Serve the queue over HTTP: nodes join by URL and key, people use a browser."""
    if missing := [module for module in _MODULES if find_spec(module) is None]:
        raise ConfigError(
            f"The coordinator is not installed ({missing[0]} is missing):"
            " pip install 'stt-fleet[coordinator]'"
        )
    # Import these here: they slow down the start of other commands.
    from stt.coordinator.context import Coordinator
    from stt.coordinator.server import serve
    from stt.serving.listening import listening_socket

    if new_key and settings.coordinator_key is not None:
        raise ConfigError("--new-key has no effect while STT_COORDINATOR_KEY is set: change that.")
    setup_logging(settings.log_format, quiet=quiet, verbose=verbose)
    with (
        listening_socket(settings.coordinator_host, settings.coordinator_port) as sock,
        open_database(settings) as database,
    ):
        if settings.coordinator_key is None:
            logger.warning("STT_COORDINATOR_KEY is not set: the key of this database is used")
            made = Sessions(database).make_key(anew=new_key)
            if made is not None:
                print_line(f"Key for people, shown this once: {made}")
        with notifying(database, settings, finishes=False):
            code = serve(Coordinator(database, settings), sock)
    if code:
        raise typer.Exit(code)
