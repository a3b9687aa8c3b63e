"""docker-compose.yml and Dockerfile as far as they can be checked where no engine runs."""

import re
import tomllib
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
    assert "rs.initiate" in mongo["healthcheck"]["test"][-1]
    assert "replicaSet=rs0" in compose["services"]["worker"]["environment"]["MONGO_URL"]


def test_database_and_models_outlive_the_containers(compose: dict[str, Any]) -> None:
    named = set(compose["volumes"])
    used = {
        volume.partition(":")[0]
        for service in compose["services"].values()
        for volume in service.get("volumes", [])
    }
    assert used == named == {"database", "models", "node", "uploads"}


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
    installed = re.findall(r'pip install .* "\.(?:\[([\w,]+)\])?"', text)
    assert len(installed) == text.count("pip install") == 5
    assert {name for names in installed for name in names.split(",") if name} <= set(extras)
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ")]
    wanted = (ROOT / ".dockerignore").read_text().splitlines()
    for path in (path for paths in copied for path in paths):
        assert (ROOT / path).exists(), path
        assert f"!{path}" in wanted, "the build would not see it"


def test_a_volume_of_compose_lies_where_the_image_keeps_its_things(
    compose: dict[str, Any],
) -> None:
    for name in ("whisper", "whisper-gpu", "coordinator", "node"):
        service = compose["services"][name]
        (volume,) = service["volumes"]
        folder = volume.partition(":")[2]
        assert re.search(rf"(?m)^VOLUME {folder}$", stage(service["build"]["target"]))
