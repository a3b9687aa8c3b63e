"""docker-compose.yml as far as it can be checked where no container engine runs."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from stt.settings import Settings
from whisper_server.settings import Settings as ServerSettings

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()


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
    assert "rs.initiate" in mongo["healthcheck"]["test"][-1]
    assert "replicaSet=rs0" in compose["services"]["worker"]["environment"]["MONGO_URL"]


def test_database_and_models_outlive_the_containers(compose: dict[str, Any]) -> None:
    named = set(compose["volumes"])
    used = {
        volume.partition(":")[0]
        for service in compose["services"].values()
        for volume in service.get("volumes", [])
    }
    assert used == named == {"database", "models"}


def test_no_port_is_open_to_the_network_unless_somebody_says_so(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for port in service.get("ports", []):
            assert re.match(r"\$\{\w+_BIND:-127\.0\.0\.1\}:", port)


def test_secrets_come_from_the_environment_file_and_have_no_default() -> None:
    example = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"(?<!\$)\$\{(\w+)", TEXT))
    assert named == set(re.findall(r"(?m)^(\w+)=$", example))
    for secret in ("MONGO_PASSWORD", "STT_API_KEY"):
        uses = re.findall(rf"\$\{{{secret}(.*?)\}}", TEXT)
        assert uses
        assert all(use.startswith(":?") for use in uses)


def test_every_variable_is_a_setting_that_somebody_reads(compose: dict[str, Any]) -> None:
    known = {str(f.validation_alias or name).upper() for name, f in Settings.model_fields.items()}
    server = "\n".join(
        str(field.validation_alias) for field in ServerSettings.model_fields.values()
    )
    for name in compose["services"]["worker"]["environment"]:
        assert name in known
    for name in compose["services"]["whisper-gpu"]["environment"]:
        assert name in ("HF_HOME", "XDG_CACHE_HOME") or f"'{name}'" in server


def test_what_the_images_copy_is_there(compose: dict[str, Any]) -> None:
    for service in ("worker", "whisper-gpu"):
        for line in compose["services"][service]["build"]["dockerfile_inline"].splitlines():
            if line.startswith("COPY "):
                for path in line.split()[1:-1]:
                    assert (ROOT / path).exists(), path
