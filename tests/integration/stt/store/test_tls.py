"""A database that speaks TLS: what the options in MONGO_URL do, and what a wrong one says."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stt.cli import app as program
from tests.support.mongo_process import missing, running_mongo

PASSWORD = "s3cr3t-Sesame"
_QUICKLY = "serverSelectionTimeoutMS=1500&connectTimeoutMS=1000"


@dataclass(frozen=True)
class Endpoint:
    """A database server behind TLS, and the file that vouches for its certificate."""

    port: int
    certificate: Path
    other_certificate: Path


class Stt:
    """Runs `stt status` in this process, as its console script does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def status(self, url: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        self._monkeypatch.setattr("sys.argv", ["stt", "status"])
        self._monkeypatch.setenv("MONGO_URL", url)
        code: object = 0
        try:
            program.main()
        except SystemExit as stopped:
            code = stopped.code or 0
        out, err = self._capsys.readouterr()
        assert isinstance(code, int), code
        return code, out, err


@pytest.fixture
def stt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Stt:
    monkeypatch.chdir(tmp_path)
    return Stt(monkeypatch, capsys)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    folder = tmp_path_factory.mktemp("tls")
    mine, other = _certificate(folder, "mine"), _certificate(folder, "other")
    flags = ("--tls-cert-file", str(mine), "--tls-key-file", str(mine))
    with running_mongo(*flags, options=f"tls=true&tlsCAFile={mine}") as server:
        yield Endpoint(server.port, mine, other)


def _certificate(folder: Path, name: str) -> Path:
    """Key and self-signed certificate for 127.0.0.1 in one file."""
    if shutil.which("openssl") is None:
        missing("the openssl program")
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
            "-addext", "keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign",
            "-keyout", str(key), "-out", str(certificate),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    with certificate.open("a") as file:
        file.write(key.read_text())
    return certificate


def _url(port: int, options: str) -> str:
    """With a password, which must never be seen: no case here gets as far as to need it."""
    return f"mongodb://ann:{PASSWORD}@127.0.0.1:{port}/?directConnection=true&{_QUICKLY}&{options}"


def test_the_queue_is_shown_through_tls(stt: Stt, endpoint: Endpoint) -> None:
    url = f"mongodb://127.0.0.1:{endpoint.port}/?tls=true&tlsCAFile={endpoint.certificate}"
    code, out, err = stt.status(url)
    assert (code, err) == (0, "")
    assert f"Queue stt at mongodb://127.0.0.1:{endpoint.port}" in out


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ("tls=true", "tlsCAFile must name the authority"),
        ("tls=true&tlsCAFile={other}", "tlsCAFile must name the authority"),
        ("tls=false", "add tls=true"),
    ],
    ids=["no authority", "another authority", "no tls"],
)
def test_a_server_that_cannot_be_trusted_or_understood_is_unreachable(
    stt: Stt, endpoint: Endpoint, options: str, advice: str
) -> None:
    options = options.format(other=endpoint.other_certificate)
    _assert_one_line(stt.status(_url(endpoint.port, options)), 4, advice)


def test_a_server_without_tls_is_unreachable_through_it(
    stt: Stt, endpoint: Endpoint, mongo_url: str
) -> None:
    port = int(mongo_url.rpartition(":")[2].partition("/")[0])
    options = f"tls=true&tlsCAFile={endpoint.certificate}"
    _assert_one_line(stt.status(_url(port, options)), 4, "take tls=true out")


@pytest.mark.parametrize(
    ("option", "content", "reason"),
    [
        ("tlsCAFile", None, "No such file"),
        ("tlsCertificateKeyFile", None, "No such file"),
        ("tlsCAFile", "no certificate", "certificate"),
        ("tlsCertificateKeyFile", "no key", "key"),
    ],
)
def test_a_file_of_the_tls_options_that_cannot_be_used_is_a_wrong_setting(
    stt: Stt, tmp_path: Path, option: str, content: str | None, reason: str
) -> None:
    file = tmp_path / "of-tls.pem"
    if content is not None:
        file.write_text(content)
    _assert_one_line(stt.status(_url(1, f"tls=true&{option}={file}")), 3, reason)


def test_the_password_of_a_key_file_is_not_shown(stt: Stt, endpoint: Endpoint) -> None:
    options = (
        f"tls=true&tlsCertificateKeyFile={endpoint.certificate}"
        f"&tlsCertificateKeyFilePassword={PASSWORD}&tlsAllowInvalidHostnames={PASSWORD}"
    )
    _assert_one_line(stt.status(_url(endpoint.port, options)), 3, "MONGO_URL is wrong")


def _assert_one_line(ended: tuple[int, str, str], code: int, advice: str) -> None:
    assert ended[0] == code, ended
    [line] = ended[2].splitlines()
    assert line.startswith("Error: ")
    assert "MONGO_URL" in line
    assert advice in line
    assert PASSWORD not in ended[1] + ended[2]
