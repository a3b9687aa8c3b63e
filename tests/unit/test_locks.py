"""The locks name one version of each package, and the hash of each of its files."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

PACKAGES: list[dict[str, Any]] = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
SETUP = (ROOT / "tools" / "setup_venv.sh").read_text()


def test_every_file_of_every_package_has_a_hash() -> None:
    of_registries = [package for package in PACKAGES if "registry" in package["source"]]
    assert len(of_registries) > 100
    for package in of_registries:
        files = [*package.get("wheels", []), *filter(None, [package.get("sdist")])]
        assert files, package["name"]
        for file in files:
            assert re.fullmatch("sha256:[0-9a-f]{64}", file["hash"]), file


def test_no_package_comes_from_anywhere_but_the_registry_and_this_project() -> None:
    others = [package for package in PACKAGES if "registry" not in package["source"]]
    assert [(package["name"], package["source"]) for package in others] == [
        ("stt-fleet", {"editable": "."})
    ]
    assert {p["source"]["registry"] for p in PACKAGES if p not in others} == {
        "https://pypi.org/simple"
    }


def test_requirements_of_pip_are_those_of_the_lock() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pinned = {tuple(line.partition(" ;")[0].split("==")) for line in lines if line}
    assert len(pinned) > 100
    assert pinned <= {(package["name"], package["version"]) for package in PACKAGES}


def test_the_set_up_with_pip_checks_hashes_as_uv_does() -> None:
    assert "--require-hashes --no-deps --requirement" in SETUP
    assert "tools/locked_hashes.py uv.lock" in SETUP


@pytest.mark.skipif(not shutil.which("uv"), reason="uv is not installed")
def test_the_list_of_a_release_has_the_packages_of_the_lock_with_their_hashes(
    tmp_path: Path,
) -> None:
    path = tmp_path / "sbom.json"
    made = subprocess.run(["make", "sbom", f"SBOM={path}"], cwd=ROOT, capture_output=True)
    assert made.returncode == 0, made.stderr
    components = json.loads(path.read_text())["components"]
    listed = {(component["name"], component["version"]) for component in components}
    assert listed <= {(package["name"], package["version"]) for package in PACKAGES}
    assert {"pymongo", "fastapi", "faster-whisper", "secantusdb"} <= {name for name, _ in listed}
    for component in components:
        for file in component["externalReferences"]:
            assert file["hashes"], component["name"]
