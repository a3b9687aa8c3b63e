"""The command `whisper-server`: flags, help, exit codes."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from whisper_server import __version__
from whisper_server.catalogue import find_model
from whisper_server.errors import StartError
from whisper_server.settings import Settings, load_settings, variable_of

EXIT_CONFIGURATION = 3

EXAMPLES = """\
examples:
  whisper-server --model demo                try it out: a tiny test model with a small
                                             vocabulary (words.txt in its folder), no download
  whisper-server                             a real model that suits this machine
  whisper-server --model large-v3-turbo --device cuda --compute-type float16
  whisper-server --model /data/my-whisper    a folder with a CTranslate2 model, no network
  API_KEY=secret whisper-server --host 0.0.0.0

  curl http://127.0.0.1:8081/v1/audio/transcriptions -F file=@talk.mp3 -F response_format=text

Every flag has an environment variable, also read from a file .env; the flag wins.
Exit codes: 0 stopped, 2 usage, 3 settings, model or port, 130 interrupted.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until it is told to stop; returns the exit code."""
    parser = _parser()
    flags = {
        name: value
        for name, value in vars(parser.parse_args(arguments)).items()
        if value is not None
    }
    try:
        settings = load_settings(flags)
    except ValidationError as error:
        return _report_settings(parser, error, flags)
    try:
        if settings.model is not None:
            find_model(settings.model)
        from whisper_server.server import serve  # slow imports: not before all that is right

        return serve(settings)
    except StartError as error:
        sys.stderr.write(f"whisper-server: {error}\n")
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="whisper-server",
        usage="%(prog)s [--model MODEL] [--port PORT] [option ...]   (--help lists the options)",
        description="An OpenAI-compatible speech-to-text server around a Whisper model.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    for name, field in Settings.model_fields.items():
        shown = "" if field.default is None else f", default {field.default}"
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            choices=get_args(field.annotation) if get_origin(field.annotation) is Literal else None,
            metavar=None if get_origin(field.annotation) is Literal else name.upper(),
            help=f"{field.description} [{variable_of(name)}{shown}]",
        )
    return parser


def _report_settings(
    parser: argparse.ArgumentParser, error: ValidationError, flags: dict[str, Any]
) -> int:
    """A wrong flag is a usage error, a wrong variable a configuration error."""
    first = error.errors(include_url=False, include_input=False)[0]
    variable = str(first["loc"][0])
    flag = next((name for name in flags if variable_of(name) == variable), None)
    if flag is not None:
        parser.error(f"argument --{flag.replace('_', '-')}: {first['msg']}")
    sys.stderr.write(f"whisper-server: the setting {variable} is wrong: {first['msg']}\n")
    return EXIT_CONFIGURATION


if __name__ == "__main__":
    sys.exit(main())
