"""`stt doctor`: check this machine and what it depends on, and say what to do."""

from dataclasses import asdict
from typing import Annotated

import typer

from stt.cli.console import print_line, show, show_json
from stt.cli.formatting import plural
from stt.cli.options import DATABASE_SETTINGS, AsJson, with_flags
from stt.cli.tables import finding_line

EXAMPLES = """\b
Examples:
  stt doctor                                 this machine, its database and whisper server
  stt doctor --server http://gpu-box:8081    with the whisper server of another machine
  stt doctor --json | jq '.checks[] | select(.state != "ok")'

\b
Each line is ok, a warning (it works, but see what to do) or a problem. Nothing is started or
changed; a whisper server transcribes two seconds of speech, and STT_AUDIO_STORE gets a small
object, which is deleted.

\b
Exit codes: that of the first problem, 0 without one:
            0 all well, or warnings only · 1 another problem, such as a full disk · 2 usage
            3 configuration or key · 4 database or coordinator unreachable
            5 whisper server unreachable · 130 interrupted
"""


@with_flags(*DATABASE_SETTINGS, "server_urls", "model")
def doctor_command(
    flags: dict[str, object],
    as_json: AsJson = False,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1, max=600, metavar="S", help="Seconds to wait for an answer; 30 more for a text."
        ),
    ] = 10.0,
) -> None:
    """Check database, servers, keys, models, disk and clock; say what to do."""
    # Import these here: they import libraries, which slow down the start of other commands.
    from stt.doctor.checks import exit_code_of
    from stt.doctor.diagnosis import diagnose

    found = []
    for finding in diagnose(flags, timeout):
        found.append(finding)
        if not as_json:
            show(finding_line(finding))
    code = exit_code_of(found)
    if as_json:
        show_json({"is_ok": code == 0, "exit_code": code, "checks": [asdict(f) for f in found]})
    else:
        counts = {state: sum(f.state == state for f in found) for state in ("problem", "warning")}
        parts = [plural(count, state) for state, count in counts.items() if count]
        print_line(f"{', '.join(parts)}." if parts else "All is well.")
    raise typer.Exit(code)
