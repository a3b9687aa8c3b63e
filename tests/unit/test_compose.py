"""docker-compose.yml and Dockerfile as far as they can be checked where no engine runs."""

import os
import re
import stat
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stt.settings import Settings
from tests.support.paths import ROOT
from whisper_server.settings import Settings as ServerSettings

TEXT = (ROOT / "docker-compose.yml").read_text()
STAGES = re.split(r"(?m)^(?=FROM )", (ROOT / "Dockerfile").read_text())[1:]
# What only the image's own start reads.
OF_THE_IMAGE = {"COORDINATOR_URL", "NODE_NAME", "STT_JOIN_CODE"}


@pytest.fixture
def compose() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(TEXT)
    return parsed


def test_every_service_has_a_health_check_and_starts_again(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["healthcheck"]["test"], name
        assert service["restart"] == "unless-stopped", name


def test_the_server_comes_for_the_cpu_or_for_the_gpu(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["whisper"]["profiles"] == ["cpu"]
    assert services["whisper-gpu"]["profiles"] == ["gpu"]
    devices = services["whisper-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices[0]["capabilities"] == ["gpu"]


def test_both_servers_answer_to_the_name_that_the_worker_calls(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["worker"]["environment"]["STT_SERVER_URL"] == "http://whisper:8081"
    for name in ("whisper", "whisper-gpu"):
        assert services[name]["networks"]["default"]["aliases"] == ["whisper"]


def test_the_database_is_a_replica_set_of_one(compose: dict[str, Any]) -> None:
    mongo = compose["services"]["mongo"]
    assert "--replSet rs0" in mongo["command"][0]
    assert mongo["healthcheck"]["test"][-1] == "/health.js"
    assert "rs.initiate" in (ROOT / "docker/mongo/health.js").read_text()
    assert "replicaSet=rs0" in compose["services"]["worker"]["environment"]["MONGO_URL"]


def test_database_and_models_outlive_the_containers(compose: dict[str, Any]) -> None:
    named = set(compose["volumes"])
    used = {
        volume.partition(":")[0]
        for service in compose["services"].values()
        for volume in service.get("volumes", [])
        if not volume.startswith("./")
    }
    assert used == named == {"database", "models", "node", "scratch", "uploads"}


def test_no_port_is_open_to_the_network_unless_somebody_says_so(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for port in service.get("ports", []):
            assert re.match(r"\$\{\w+_BIND:-127\.0\.0\.1\}:", port)


def test_secrets_come_from_the_environment_file_and_have_no_default() -> None:
    example = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"(?<!\$)\$\{(\w+)", TEXT))
    assert named == set(re.findall(r"(?m)^(\w+)=$", example))
    # The containers ask for the passwords of the database themselves, see below.
    for secret, demand in (
        ("MONGO_ROOT_PASSWORD", ":-"),
        ("MONGO_PASSWORD", ":-"),
        ("STT_API_KEY", ":?"),
    ):
        uses = re.findall(rf"(?<!\$)\$\{{{secret}(.*?)\}}", TEXT)
        assert uses
        assert all(use.startswith(demand) for use in uses)
        assert all(use == demand for use in uses if demand == ":-")


def test_a_machine_with_a_node_only_needs_no_password_of_the_database() -> None:
    demanded = set(re.findall(r"(?<!\$)\$\{(\w+):?\?", TEXT))  # in any profile: compose reads all
    assert demanded == {"STT_API_KEY"}


@pytest.fixture
def start_mongo(compose: dict[str, Any], tmp_path: Path) -> Callable[..., str]:
    """Runs the command of the database's container, with its start recorded instead of done."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "docker-entrypoint.sh"
    program.write_text('#!/bin/sh\necho "started: $*"\n')
    program.chmod(0o755)
    service = compose["services"]["mongo"]
    command = service["command"][0].replace("$$", "$").replace("/tmp/", f"{tmp_path}/")

    def start(**environment: str) -> str:
        environment["PATH"] = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        ended = subprocess.run(
            [*service["entrypoint"], command], env=environment, capture_output=True, text=True
        )
        assert (ended.returncode == 0) == ("started: " in ended.stdout)
        return ended.stdout + ended.stderr

    return start


def test_the_database_starts_with_both_passwords_and_a_key_file_of_its_own(
    start_mongo: Callable[..., str], tmp_path: Path
) -> None:
    output = start_mongo(MONGO_INITDB_ROOT_PASSWORD="a", STT_MONGO_PASSWORD="b")
    key_file = tmp_path / "keyfile"
    assert output == f"started: mongod --replSet rs0 --bind_ip_all --keyFile {key_file}\n"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o400
    assert 600 < len(key_file.read_text()) < 1024


@pytest.mark.parametrize("missing", ["MONGO_ROOT_PASSWORD", "MONGO_PASSWORD"])
def test_the_database_does_not_start_without_a_password(
    start_mongo: Callable[..., str], missing: str
) -> None:
    names = {
        "MONGO_ROOT_PASSWORD": "MONGO_INITDB_ROOT_PASSWORD",
        "MONGO_PASSWORD": "STT_MONGO_PASSWORD",
    }
    environment = {names[name]: "" if name == missing else "secret" for name in names}
    output = start_mongo(**environment)
    assert f"set {missing} in .env" in output


def test_no_password_is_on_a_command_line(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        lines = [*service.get("command", []), *service["healthcheck"]["test"]]
        for line in lines:
            assert not re.search(
                r"(-p|--password|:)[ =]?\S*(PASSWORD|KEY)\b", line.replace(":?", "")
            )


def test_a_worker_is_not_the_administrator_of_the_database(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name in ("worker", "coordinator"):
        url = services[name]["environment"]["MONGO_URL"]
        assert url.startswith("mongodb://stt:${MONGO_PASSWORD:-}@mongo:27017/")
    mongo = services["mongo"]["environment"]
    assert mongo["MONGO_INITDB_ROOT_USERNAME"] != "stt"
    assert mongo["MONGO_INITDB_ROOT_PASSWORD"] == "${MONGO_ROOT_PASSWORD:-}"


def test_files_that_are_mounted_are_there(compose: dict[str, Any]) -> None:
    volumes = compose["services"]["mongo"]["volumes"]
    sources = [volume.partition(":")[0] for volume in volumes if volume.startswith("./")]
    assert len(sources) == 2
    assert all((ROOT / source).is_file() for source in sources)


def test_every_container_has_few_rights_and_cannot_write_its_root(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        in_memory = service.get("tmpfs", [])
        on_disk = [volume.split(":")[1] for volume in service.get("volumes", [])]
        assert [*in_memory, *on_disk].count("/tmp") == 1, name
    assert compose["services"]["mongo"]["user"] == "mongodb"


def test_every_variable_is_a_setting_that_somebody_reads(compose: dict[str, Any]) -> None:
    known = {str(f.validation_alias or name).upper() for name, f in Settings.model_fields.items()}
    server = "\n".join(
        str(field.validation_alias) for field in ServerSettings.model_fields.values()
    )
    for service in ("worker", "coordinator", "node"):
        for name in compose["services"][service]["environment"]:
            assert name in known | OF_THE_IMAGE
    for name in compose["services"]["whisper-gpu"]["environment"]:
        assert name in ("HF_HOME", "XDG_CACHE_HOME") or f"'{name}'" in server


def stage(name: str) -> str:
    """What the Dockerfile says of one image."""
    found = [text for text in STAGES if re.match(rf"FROM \S+ AS {name}\n", text)]
    assert len(found) == 1, name
    return found[0]


def test_every_image_that_compose_builds_is_a_target_of_the_dockerfile(
    compose: dict[str, Any],
) -> None:
    built = {n: s for n, s in compose["services"].items() if "build" in s}
    assert set(built) == {"whisper", "whisper-gpu", "worker", "coordinator", "node"}
    for service in built.values():
        target = service["build"]["target"]
        assert service["image"] == f"stt:{target}"
        assert re.search(r"(?m)^USER stt$", stage(target)), "no image runs as root"
        assert re.search(r"(?m)^CMD \[", stage(target))


def test_the_images_install_extras_that_there_are_and_copy_files_that_there_are() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    text = "".join(STAGES)
    assert text.count("RUN uv sync --frozen --no-editable") == 5
    assert (
        set(re.findall(r"--extra (\w+)", text)) == {"coordinator", "node", "server"} <= set(extras)
    )
    copied = [
        line.split()[1:-1]
        for line in text.splitlines()
        if line.startswith("COPY ") and "--from" not in line
    ]
    wanted = (ROOT / ".dockerignore").read_text().splitlines()
    for path in (path for paths in copied for path in paths):
        assert (ROOT / path).exists(), path
        assert f"!{path}" in wanted, "the build would not see it"


def test_an_image_has_nothing_that_builds_or_installs(compose: dict[str, Any]) -> None:
    assert re.search("(?m)^RUN pip uninstall --yes pip ", stage("base"))
    for service in compose["services"].values():
        if "build" not in service:
            continue
        text = stage(service["build"]["target"])
        base = re.match(r"FROM (\S+)", text)
        assert base
        assert base[1] in ("base", "gpu-base")
        [copied] = re.findall(r"(?m)^COPY --from=(\S+) /venv /venv$", text)
        assert "uv sync" in stage(copied)
        for lines in (text, stage(base[1])):
            assert "uv" not in re.findall(r"\w+", lines)
            assert not re.search("pip3? install|gcc|build-essential|python3-(pip|venv|dev)", lines)
        assert not re.search("(?m)^RUN", text)


def test_a_base_from_a_registry_has_a_version_and_the_file_says_how_to_pin_it() -> None:
    own = {re.match(r"FROM \S+ AS (\S+)", text)[1] for text in STAGES}  # type: ignore[index]
    bases = {re.match(r"FROM (\S+)", text)[1] for text in STAGES} - own  # type: ignore[index]
    assert len(bases) == 3
    for base in bases:
        assert re.search(r":\d[\w.-]*(@sha256:[0-9a-f]{64})?$", base), base
    assert "imagetools inspect" in (ROOT / "Dockerfile").read_text()


def test_a_volume_of_compose_lies_where_the_image_keeps_its_things(
    compose: dict[str, Any],
) -> None:
    for name in ("whisper", "whisper-gpu", "coordinator", "node"):
        service = compose["services"][name]
        (volume,) = [volume for volume in service["volumes"] if volume != "scratch:/tmp"]
        folder = volume.partition(":")[2]
        assert re.search(rf"(?m)^VOLUME {folder}$", stage(service["build"]["target"]))
