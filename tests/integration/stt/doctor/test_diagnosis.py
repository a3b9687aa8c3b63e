"""All checks together: a machine that is well, one with nothing, and one where all is wrong."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stt.doctor.checks import Finding, exit_code_of
from stt.doctor.diagnosis import diagnose
from stt.local.stack import open_database
from stt.node.credentials import Credentials, CredentialsFile
from stt.settings import Settings
from stt.store.database import Database
from tests.support.scripted_server import ScriptedServer, always

AWAY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run in an empty folder, without any setting of the tester's."""
    monkeypatch.chdir(tmp_path)
    for name in ("MONGO_URL", "DATABASE_NAME", "STT_SERVER_URL", "STT_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STT_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("STT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr("stt.doctor.whisper.DEFAULT_SERVER_URL", AWAY)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(always("hello")).running() as server:
        yield server


def checked(**flags: object) -> dict[str, Finding]:
    """Return the last finding of each check."""
    return {finding.check: finding for finding in diagnose(flags, 60.0)}


def test_a_machine_that_is_well(database: Database, mongo_url: str, server: ScriptedServer) -> None:
    found = list(
        diagnose(
            {
                "mongo_url": mongo_url,
                "database_name": database.chunks.database.name,
                "server_urls": (server.url,),
            },
            60.0,
        )
    )
    problems = [finding for finding in found if finding.state == "problem"]
    assert problems == []
    names = {finding.check for finding in found}
    assert names >= {"versions", "configuration", "database", "indexes", "clock", "disk"}
    assert exit_code_of(found) == 0


def test_a_machine_with_nothing_configured_gets_nothing_either(tmp_path: Path) -> None:
    found = checked(model="large-v3")
    assert "none yet" in found["database"].message
    assert found["node"].state == "skipped"
    assert all(finding.state != "problem" for finding in found.values())
    assert list(tmp_path.iterdir()) == []


def test_a_node_needs_no_database(tmp_path: Path, server: ScriptedServer) -> None:
    CredentialsFile(tmp_path / "config").save(Credentials(AWAY, "m4-1", "the-nodes-key", "M4"))
    found = checked(server_urls=(server.url,))
    assert found["database"].state == "skipped"
    assert (found["node"].state, found["node"].exit_code) == ("problem", 4)


def test_the_embedded_database_is_checked_where_it_runs_and_left_as_it_is(
    tmp_path: Path, server: ScriptedServer
) -> None:
    data = tmp_path / "data"
    settings = Settings(_env_file=None, mongo_url=None, data_dir=data)  # type: ignore[call-arg]
    with open_database(settings):
        running = checked(server_urls=(server.url,))
        assert (running["database"].state, running["indexes"].state) == ("ok", "ok")
        assert "embedded" in running["database"].message
    before = _content(data)
    at_rest = checked(server_urls=(server.url,))
    assert at_rest["database"].state == "ok"
    assert "at rest" in at_rest["database"].message
    assert _content(data) == before


def _content(folder: Path) -> dict[Path, tuple[int, int]]:
    return {
        path: (path.stat().st_mtime_ns, path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_wrong_settings_stop_no_other_check(
    monkeypatch: pytest.MonkeyPatch, server: ScriptedServer
) -> None:
    monkeypatch.setenv("LEASE_SECONDS", "soon")
    found = list(diagnose({"server_urls": (server.url,)}, 60.0))
    assert (found[0].state, found[0].exit_code) == ("problem", 3)
    assert "LEASE_SECONDS" in found[0].message
    assert any(one.check == "whisper server" and one.state == "ok" for one in found)


@pytest.fixture
def silent() -> Iterator[str]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def environment(tmp_path: Path, silent: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "MONGO_URL": f"mongodb://ann:hunter2-mongo@{silent}/?directConnection=true",
        "STT_SERVER_URL": f"http://{silent},{AWAY}",
        "STT_API_KEY": "hunter2-server",
        "STT_COORDINATOR_KEY": "hunter2-coordinator",
    }


def _doctor(tmp_path: Path, silent: str, *flags: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "stt", "doctor", *flags],
        cwd=tmp_path,
        env=environment(tmp_path, silent),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_addresses_without_an_answer_hold_it_up_for_a_bounded_time_and_leak_nothing(
    tmp_path: Path, silent: str
) -> None:
    with _doctor(tmp_path, silent, "--timeout", "1") as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 4, out + err
    assert err == ""
    assert out.count("problem") >= 3
    assert "hunter2" not in out + err
    assert sorted(path.name for path in tmp_path.iterdir()) == []


def test_ctrl_c_ends_it_at_once_and_cleanly(tmp_path: Path, silent: str) -> None:
    with _doctor(tmp_path, silent, "--timeout", "600") as process:
        assert process.stdout is not None
        assert "versions" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
