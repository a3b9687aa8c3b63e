"""The files of GitHub and of pre-commit can be parsed, and agree with the project's own.

What only GitHub can show is whether they run.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.paths import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def read(path: Path) -> dict[Any, Any]:
    content = yaml.safe_load(path.read_text())
    assert isinstance(content, dict)
    return content


def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_triggers_few_rights_and_an_end_for_each_job(path: Path) -> None:
    workflow = read(path)
    assert workflow[True]  # YAML 1.1 reads the key `on` as a boolean
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert 5 <= job["timeout-minutes"] <= 60, name
        needed = job.get("needs", [])
        assert set([needed] if isinstance(needed, str) else needed) <= workflow["jobs"].keys()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_each_step_runs_something_and_each_action_has_a_version(path: Path) -> None:
    for step in steps(read(path)):
        assert ("run" in step) != ("uses" in step), step
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v\d+)", step["uses"])


def test_ci_runs_the_script_and_make_test_on_the_pythons_of_the_project() -> None:
    workflow = read(GITHUB / "workflows" / "ci.yml")
    commands = [step["run"] for step in steps(workflow) if "run" in step]
    assert ".ci/run" in commands
    assert "make test" in commands
    quick = workflow["jobs"]["quick"]["strategy"]["matrix"]
    classified = [
        name.rpartition(" ")[2] for name in PROJECT["classifiers"] if "Python :: 3." in name
    ]
    assert quick["python"] == classified
    assert {name.partition("-")[0] for name in quick["os"]} == {"ubuntu", "macos"}


def test_a_release_builds_the_images_of_the_dockerfile() -> None:
    jobs = read(GITHUB / "workflows" / "release.yml")["jobs"]
    stages = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    images = {name for name in stages if not re.search("(^|-)(uv|base|build)$", name)}
    assert set(jobs["images"]["strategy"]["matrix"]["target"]) == images
    assert jobs["publish"]["environment"]["url"].endswith(f"/{PROJECT['name']}")
    assert jobs["publish"]["permissions"] == {"id-token": "write"}


def test_a_release_lists_its_packages_and_they_are_audited() -> None:
    release = read(GITHUB / "workflows" / "release.yml")
    assert "make sbom" in [step.get("run") for step in release["jobs"]["build"]["steps"]]
    [build] = [
        step["with"]
        for step in release["jobs"]["images"]["steps"]
        if step["uses"].startswith("docker/build-push-action")
    ]
    assert build["sbom"] is True
    audit = read(GITHUB / "workflows" / "audit.yml")
    assert "make audit" in [step.get("run") for step in steps(audit)]
    assert audit[True]["schedule"]


def test_each_hook_of_pre_commit_is_a_command_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("$(BIN)", ".venv/bin")
    [local] = read(ROOT / ".pre-commit-config.yaml")["repos"]
    assert {hook["id"] for hook in local["hooks"]} >= {"ruff-format", "ruff-check", "mypy"}
    for hook in local["hooks"]:
        command = re.sub(r" --(force-exclude|fix)\b", "", hook["entry"])
        assert command in makefile


def test_dependabot_knows_where_versions_are_pinned() -> None:
    updates = read(GITHUB / "dependabot.yml")["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"uv", "github-actions", "docker"}
    assert (ROOT / "uv.lock").exists()


@pytest.mark.parametrize("name", ["bug.yml", "idea.yml"])
def test_an_issue_template_asks_for_something(name: str) -> None:
    template = read(GITHUB / "ISSUE_TEMPLATE" / name)
    assert template["name"]
    assert template["description"]
    asked = [field for field in template["body"] if field["type"] != "markdown"]
    assert any(field.get("validations", {}).get("required") for field in asked)
    assert len({field["id"] for field in asked}) == len(asked)
