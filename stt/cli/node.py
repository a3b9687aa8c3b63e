"""`stt node …`: this machine works for a fleet that it reaches through a coordinator."""

import os
import platform
import sys
import threading
import webbrowser
from dataclasses import asdict
from importlib.util import find_spec
from typing import Annotated, Any

import typer

from stt.cli.console import live_progress, print_line, setup_logging, show_json, stop
from stt.cli.formatting import clock, plural
from stt.cli.help import PanelCommand
from stt.cli.node_service import service_app
from stt.cli.options import STOP_SETTINGS, AsJson, LogMore, NewestFirst, Quiet, with_settings
from stt.cli.summary import RunSummary
from stt.errors import ConfigError
from stt.node.credentials import CredentialsFile
from stt.settings import Settings
from stt.system.signals import on_signals

EXAMPLES = """\b
Examples:
  stt node register --server https://stt.example.org --name "M4 MacBook Pro"
  stt node start                                       work, and stay
  stt node start --server-url http://gpu-box:8081      with the whisper server of another machine
  stt node start --required-empty-checks 1             until the queue is empty
  stt node status

\b
The join code comes from the coordinator's page "Fleet". It is asked for, or taken from
STT_JOIN_CODE. The node's name and key are then kept in node.json, in the folder STT_CONFIG_DIR.
"""

REGISTER_EXAMPLES = """\b
Examples:
  stt node register --coordinator https://stt.example.org
  STT_JOIN_CODE=AAAA-BBBB-CCCC stt node register --coordinator http://hub:8000 --name box

\b
Exit codes: 0 registered · 2 usage · 3 no coordinator, a wrong code, or registered already
            4 nothing answers there
"""

START_EXAMPLES = """\b
Examples:
  stt node start                                       work, and stay
  stt node start --server http://gpu-box:8081          with the whisper server of another machine
  stt node start --max-minutes 55                      a machine that is paid for by the hour

\b
Without --server-url or STT_SERVER_URL a whisper server is started for as long as the node runs,
with the model that suits this machine, or that a person chose for it at the coordinator.

\b
A node goes on when the queue is empty, and when the coordinator or servers are away. If one stop
condition is set (by a flag above or its name in the environment), all of them apply, as for `stt`;
--limit and --max-minutes end it in any case.

\b
Exit codes: 0 all well · 1 finished, some chunks failed · 2 usage
            3 configuration or key, removed from the coordinator · 4 coordinator unreachable
            5 whisper server unreachable · 130 interrupted
"""

STATUS_EXAMPLES = """\b
Examples:
  stt node status
  stt node status --json | jq .jobs

\b
Exit codes: 0 it runs · 1 it does not run · 3 not registered, or removed · 4 the coordinator is away
"""

UNREGISTER_EXAMPLES = """\b
Examples:
  stt node unregister
  stt node unregister --force          also if the coordinator is away
"""

_MODULES = ("fastapi", "filelock", "uvicorn", "websockets")
_NOT_RUNNING = 1
_STATES = {
    "online": "idle", "busy": "transcribing", "working": "transcribing",
    "waiting": "waiting to try again",
}  # fmt: skip
"""Words of the glossary for states of a node and phases of its process."""

node_app = typer.Typer(
    name="node",
    help="Work for a fleet through a coordinator, without a database.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=EXAMPLES,
)
node_app.add_typer(service_app, name="service")


@node_app.command("register", epilog=REGISTER_EXAMPLES)
@with_settings("join_code")
def register_command(
    server: Annotated[
        str,
        typer.Option("--coordinator", "--server", metavar="URL", help="The coordinator's address."),
    ],
    settings: Settings,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="What people call it; the machine's own name."),
    ] = None,
    quiet: Quiet = False,
    verbose: LogMore = False,
) -> None:
    """Join a coordinator with a join code from its page."""
    _check_installed()
    from stt.node.registration import register

    setup_logging(settings.log_format, to_stderr=True, quiet=quiet, verbose=verbose)
    code = settings.join_code.get_secret_value() if settings.join_code else _ask_for_code()
    name = name or platform.node() or "node"
    made = register(CredentialsFile(settings.config_dir), server, name, code)
    print_line(f"Registered as {made.name!r} ({made.node_id}) at {made.server_url}")
    print_line("Start it with: stt node start")


@node_app.command("start", epilog=START_EXAMPLES, cls=PanelCommand)
@with_settings(
    "model", "max_parallel_workers", "max_concurrent_jobs", "limit", "log_format", *STOP_SETTINGS,
    server_urls="--server-url",
)  # fmt: skip
def start_command(
    settings: Settings,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Do not open the node's page in a browser.")
    ] = False,
    page_port: Annotated[
        int,
        typer.Option(
            min=0, max=65_535, metavar="PORT", help="The node's page, on this machine alone."
        ),
    ] = 8001,
    newest_first: NewestFirst = False,
    quiet: Quiet = False,
    verbose: LogMore = False,
) -> None:
    """Work as the node that this machine is registered as."""
    _check_installed()
    from stt.node.agent import NodeAgent
    from stt.node.page import page
    from stt.node.registration import warn_if_unprotected

    setup_logging(settings.log_format, quiet=quiet, verbose=verbose)
    node, summary = NodeAgent(settings), RunSummary()

    with on_signals(stop), node.lock.held(), page(node, page_port) as url:
        warn_if_unprotected(node.client.url)
        if not no_browser and _has_display():
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        with live_progress(node.progress):
            exit_code = node.run(newest_first=newest_first)
        summary.log(node.stats())
    raise typer.Exit(exit_code)


@node_app.command("status", epilog=STATUS_EXAMPLES)
@with_settings()
def status_command(settings: Settings, as_json: AsJson = False) -> None:
    """Show where this machine is registered, whether the coordinator answers, what it does."""
    _check_installed()
    from stt.node.registration import node_status

    found = node_status(CredentialsFile(settings.config_dir))
    trouble = found.trouble
    if as_json:
        show_json(asdict(found) | {"trouble": str(trouble) if trouble else None})
    else:
        for line in _status_lines(found):
            print_line(line)
    if trouble is not None and not as_json:
        raise trouble
    if trouble is not None or not found.is_running:
        raise typer.Exit(trouble.exit_code if trouble else _NOT_RUNNING)


@node_app.command("unregister", epilog=UNREGISTER_EXAMPLES)
@with_settings()
def unregister_command(
    settings: Settings,
    force: Annotated[
        bool,
        typer.Option("--force", help="Also if the coordinator is away, or node.json is broken."),
    ] = False,
) -> None:
    """Leave the coordinator: release what this node holds, and remove node.json."""
    _check_installed()
    from stt.node.registration import unregister

    file = CredentialsFile(settings.config_dir)
    left = unregister(file, force=force)
    print_line(f"{left.name!r} has left {left.server_url}" if left else f"{file.path} is removed")


def _status_lines(found: Any) -> list[str]:
    if not found.is_registered:
        return []
    answers = {None: "answers", "removed": "has removed this node"}.get(
        found.coordinator_state,
        f"answers, sees it {_STATES.get(found.coordinator_state, found.coordinator_state)}",
    )
    if found.trouble is not None and found.coordinator_state is None:
        answers = "does not answer"
    is_idle = found.phase == "working" and not found.jobs
    phase = "idle" if is_idle else _STATES.get(found.phase, found.phase)
    process = f"runs (process {found.pid})" if found.is_running else "does not run"
    lines = [
        f"Node:         {found.name} ({found.node_id})",
        f"Coordinator:  {found.server_url} {answers}",
        f"Process:      {process}" + (f", {phase}" if phase else ""),
    ]
    if found.page_url:
        lines.append(f"Page:         {found.page_url}")
    if found.jobs:
        lines.append(f"Transcribing: {plural(len(found.jobs), 'sequence')}")
    for job in found.jobs:
        name = job.filename or "a recording"
        lines.append(f"  {name}: {clock(job.seconds)} of audio, for {clock(job.elapsed_seconds)}")
    return lines


def _check_installed() -> None:
    if any(find_spec(module) is None for module in _MODULES):
        raise ConfigError("A node needs a few more libraries: pip install 'stt-fleet[node]'")


def _ask_for_code() -> str:
    if not sys.stdin.isatty():
        raise ConfigError(
            'A join code is needed: set STT_JOIN_CODE. The coordinator\'s page "Fleet" makes one.'
        )
    return str(typer.prompt("Join code", hide_input=True, err=True))


def _has_display() -> bool:
    """Return whether a browser can be opened: not for a service, or in a shell without windows."""
    if not sys.stdout.isatty():
        return False
    return sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
