"""Check this machine: versions of what is installed, who may read its files, and disk space."""

import os
import platform
import shutil
import stat
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pymongo

import stt
from stt.doctor.checks import Finding
from stt.errors import ConfigError, SttError

FULL_BYTES = 256 * 1024 * 1024
"""With less the coordinator refuses uploads, and the embedded database is near its end."""
_LOW_BYTES = 2 * 1024**3
_READABLE_BY_OTHERS = 0o077
_GIGABYTE = 1000**3


def version_findings() -> Iterator[Finding]:
    """Say which versions are installed, and whether audio can be read."""
    names = f"stt {stt.__version__}, Python {platform.python_version()}, pymongo {pymongo.version}"
    try:
        import av
    except ImportError as error:
        yield Finding.problem(
            "versions",
            f"{names}; PyAV, which reads recordings, cannot be loaded: {error}",
            "pip install --force-reinstall av",
            ConfigError,
        )
        return
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    yield Finding("versions", "ok", f"{names}, PyAV {av.__version__} (libavcodec {codec})")


def permission_findings(files: Mapping[Path, str]) -> Iterator[Finding]:
    """Check that only their user can read these files and folders, as far as they are there.

    The values say what lies there.
    """
    if os.name != "posix":
        return
    seen = 0
    for path, content in files.items():
        try:
            status = path.stat()
        except OSError:
            continue
        seen += 1
        if status.st_uid not in (os.geteuid(), 0):
            yield Finding(
                "permissions",
                "warning",
                f"{path} ({content}) belongs to another user",
                "Run stt as that user, or give it to this one.",
            )
        elif status.st_mode & _READABLE_BY_OTHERS:
            mode = "700" if stat.S_ISDIR(status.st_mode) else "600"
            yield Finding(
                "permissions",
                "warning",
                f"other users may read {path} ({content})",
                f"chmod {mode} {path}",
            )
    if seen:
        yield Finding("permissions", "ok", f"{seen} files and folders were checked")


def disk_findings(folders: Mapping[str, Path]) -> Iterator[Finding]:
    """Check the space of the disks that these folders are on, or will be made on."""
    by_disk: defaultdict[int, list[str]] = defaultdict(list)
    places: dict[int, Path] = {}
    for name, folder in folders.items():
        place = _existing(folder)
        disk = place.stat().st_dev
        by_disk[disk].append(name)
        places[disk] = place
    for disk, names in by_disk.items():
        free = shutil.disk_usage(places[disk]).free
        message = f"{free / _GIGABYTE:,.1f} GB free for {', '.join(names)} ({places[disk]})"
        if free < FULL_BYTES:
            advice = "Make room: nothing can be written there soon."
            yield Finding.problem("disk", message, advice, SttError)
        elif free < _LOW_BYTES:
            yield Finding("disk", "warning", message, "Make room before it is full.")
        else:
            yield Finding("disk", "ok", message)


def written_folders(data_dir: Path) -> dict[str, Path]:
    """Return the folders that fill up, by what they are for."""
    hub = os.environ.get("HF_HUB_CACHE") or os.environ.get("HF_HOME")
    return {
        "the database and uploads": data_dir.expanduser().absolute(),
        "models": Path(hub) if hub else Path.home() / ".cache" / "huggingface",
        "temporary files": Path(tempfile.gettempdir()),
    }


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    return next((path for path in (folder, *folder.parents) if path.is_dir()), Path("/"))
