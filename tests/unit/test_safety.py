"""What comes from elsewhere stays data: it is never run, never a path, never moves a cursor."""

import ast
import json
import string
import traceback
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stt.cli.formatting import json_text, printable
from stt.domain.visible_text import is_visible
from stt.errors import ConfigError
from stt.store.database import Database
from tests.support.paths import ROOT

_PROGRAMS = ("stt", "whisper_server", "tools")


_RUNNERS = {"eval", "exec", "compile", "__import__", "execfile", "breakpoint"}


_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "code", "imp"}


_ATTRIBUTES = {
    *("os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load"),
    *("importlib.import_module", "runpy.run_path", "runpy.run_module"),
    *("subprocess.getoutput", "subprocess.getstatusoutput", "builtins.eval", "builtins.exec"),
}


# What makes a MongoDB server run JavaScript.
_SERVER_SIDE = {"$where", "$function", "$accumulator", "mapReduce", "mapreduce"}


_ALLOWED = {
    ("stt/cli/app.py", "importlib.import_module"),  # the modules of our own commands
    ("stt/notifications/command.py", "shell"),  # the command of --on-done, without any data in it
    ("stt/system/exit_with_parent.py", "runpy.run_module"),  # named on its command line
    ("tools/chaos_lab/wrong_clock.py", "runpy.run_module"),  # the same
}


def runs_data(source: str) -> Iterator[str]:
    """What in this source could make a program of its data."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in _RUNNERS:
                yield name
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="torch"), attr="load"), keywords=given
            ):
                if "weights_only" not in {keyword.arg for keyword in given}:
                    yield "torch.load"
            case ast.keyword(arg="weights_only", value=ast.Constant(value=False)):
                yield "weights_only"
            case ast.Attribute(value=ast.Name(id=owner), attr=attribute):
                if f"{owner}.{attribute}" in _ATTRIBUTES:
                    yield f"{owner}.{attribute}"
            case ast.Import(names=names):
                yield from ({a.name.partition(".")[0] for a in names} & _MODULES)
            case ast.ImportFrom(module=module, names=names):
                yield from ({(module or "").partition(".")[0]} & _MODULES)
                yield from ({f"{module}.{a.name}" for a in names} & _ATTRIBUTES)
            case ast.keyword(arg="shell" | "allow_pickle" as name, value=value):
                if not (isinstance(value, ast.Constant) and value.value is False):
                    yield name
            case ast.Constant(value=str(text)) if text in _SERVER_SIDE:
                yield text


# A password that nobody escaped: the signs in it mean something in a URL.
_passwords = st.text(st.sampled_from(string.ascii_letters + ":/?#%[]&=+ ;,ü.-"), max_size=12).map(
    lambda text: f"Hunter{text}Sesame"
)


def test_no_program_runs_what_it_reads() -> None:
    programs = [path for folder in _PROGRAMS for path in (ROOT / folder).rglob("*.py")]
    found = {
        (path.relative_to(ROOT).as_posix(), what)
        for path in programs
        for what in runs_data(path.read_text(encoding="utf-8"))
    }
    assert found - _ALLOWED == set()


@pytest.mark.parametrize(
    "source",
    [
        "eval(document['rule'])",
        "import pickle",
        "from marshal import loads",
        "from yaml import load",
        "yaml.load(text)",
        "os.system(name)",
        "subprocess.run(command, shell=True)",
        "numpy.load(path, allow_pickle=True)",
        "importlib.import_module(name)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "chunks.find({'$where': text})",
    ],
)
def test_that_look_finds_what_it_looks_for(source: str) -> None:
    assert list(runs_data(source))


@given(st.text(st.characters(), max_size=50))
@example("\x1b]0;title\x07\x9b2J\u202e\r\n\x7f")
@example("a\u200e\u3164\uffa0\u034f")
def test_text_from_elsewhere_moves_no_cursor(text: str) -> None:
    assert printable(text).isprintable()
    assert is_visible(printable(text))
    as_json = json_text({"name": text, text: [text]})
    assert as_json.isprintable()
    assert is_visible(as_json)
    assert json.loads(as_json) == {"name": text, text: [text]}


@given(
    _passwords,
    st.sampled_from(
        [
            "mongodb://ann:{}@127.0.0.1:1/",
            "mongodb://{}@127.0.0.1:1,127.0.0.2:x/",
            "mongodb://ann:{}@127.0.0.1:99999/?tls=maybe",
            "mongodb://ann:{}",
            "ann:{}@127.0.0.1",
            "http://ann:{}@127.0.0.1",
            "mongodb://ann:{}@127.0.0.1/?authMechanism=NONE",
            "mongodb://127.0.0.1/?readPreference={}",
            "mongodb://127.0.0.1/?tls=true&tlsCertificateKeyFile=/absent&tlsCRLFile={}",
        ]
    ),
)
@settings(deadline=None)
def test_a_wrong_url_never_shows_a_piece_of_its_password_not_even_in_a_traceback(
    password: str, url: str
) -> None:
    shown = ""
    try:
        Database(url.format(password), "stt").close()
    except ConfigError:
        shown = traceback.format_exc().casefold()
    assert "hunter" not in shown
    assert "sesame" not in shown
