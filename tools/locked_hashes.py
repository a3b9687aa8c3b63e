"""Print the packages of a report of pip as requirements with the hashes that uv.lock has for them.

    python tools/locked_hashes.py uv.lock REPORT > requirements

pip takes hashes for all that it installs or for nothing, and a project in a folder has none. So
tools/setup_venv.sh lets pip report what it would install, and installs that with its hashes.
"""

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any


def main() -> None:
    lock = tomllib.loads(Path(sys.argv[1]).read_text("utf-8"))
    report = json.loads(Path(sys.argv[2]).read_text("utf-8"))
    for line in hashed(lock, report):
        print(line)


def hashed(lock: dict[str, Any], report: dict[str, Any]) -> list[str]:
    """Return a requirement with hashes for each package of the report that is no folder.

    Exit if one is not in the lock: it would be installed without a check.
    """
    hashes = {
        (package["name"], package["version"]): [
            file["hash"]
            for file in [*package.get("wheels", []), package.get("sdist")]
            if file is not None
        ]
        for package in lock["package"]
        if "registry" in package["source"]
    }
    lines = []
    for item in report["install"]:
        if "dir_info" in item["download_info"]:
            continue
        name = re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower()
        version = _normalized(item["metadata"]["version"])
        if not hashes.get((name, version)):
            sys.exit(f"setup: {name} {version} is not in uv.lock: run make lock")
        options = " ".join(f"--hash={value}" for value in hashes[name, version])
        lines.append(f"{name}=={version} {options}")
    return lines


def _normalized(version: str) -> str:
    """Return the version as uv writes it: 2026.1.4 for 2026.01.04."""
    return ".".join(
        part.lstrip("0") or "0" if part.isdigit() else part for part in version.split(".")
    )


if __name__ == "__main__":
    main()
