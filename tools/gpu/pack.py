"""Fetch what a bare machine with a card lacks, in parts that are small enough to be carried.

    python -m tools.gpu.pack --pip "pip3"          # writes build/gpu/pack/part-1, part-2, ...

The machine has Linux (x86-64, glibc 2.28 and newer), Python 3.12, CUDA 13, PyTorch, transformers
and onnxruntime with what they need; versions are those of requirements.lock. tools/gpu/card.sh puts
the parts together again.
"""

import argparse
import hashlib
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.bench_lab.random_model import TOKENIZER, sample_folder

ROOT = Path(__file__).resolve().parents[2]
PACK = ROOT / "build" / "gpu" / "pack"
PART_BYTES = 50_000_000
PYTHON = "3.12"
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux2014_x86_64")
PACKAGES = (
    "annotated-doc", "annotated-types", "anyio", "av", "certifi", "charset-normalizer", "click",
    "ctranslate2", "fastapi", "fastapi-offline", "faster-whisper", "flatbuffers", "h11", "idna",
    "markdown-it-py", "mdurl", "opentelemetry-api", "platformdirs", "prometheus-client",
    "protobuf", "psutil", "pydantic", "pydantic-core", "pydantic-settings", "pygments", "pymongo",
    "python-dotenv", "python-multipart", "requests", "rich", "starlette", "typing-extensions",
    "typing-inspection", "urllib3", "uvicorn",
)  # fmt: skip
"""All that the server and the benchmark need, but for onnxruntime, and for numpy, tokenizers,
huggingface-hub and tqdm, which transformers brings. Of tiny.en only the tokenizer is packed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--pip", default=f"{sys.executable} -m pip", help="the command of a pip; default: this one"
    )
    parser.add_argument("--add", nargs="+", default=[], help="more packages, like onnxruntime")
    options = parser.parse_args(arguments)
    names = (*PACKAGES, *options.add)
    wanted = pinned((ROOT / "requirements.lock").read_text("utf-8"), names)
    with tempfile.TemporaryDirectory() as folder:
        command = [*shlex.split(options.pip), *download_command(Path(folder), wanted)]
        if code := subprocess.run(command, check=False).returncode:
            print(f"Error: pip ended with {code}; --pip names another", file=sys.stderr)
            return 1
        archive = Path(folder) / "wheels.tar"
        with tarfile.open(archive, "w") as tar:
            for wheel in sorted(Path(folder).glob("*.whl")):
                tar.add(wheel, wheel.name)
            tar.add(sample_folder() / TOKENIZER, TOKENIZER)
        for name, size in split(archive, PACK):
            print(f"{PACK / name}: {size / 1e6:.1f} MB")
    return 0


def pinned(lock: str, names: Sequence[str]) -> list[str]:
    """Requirements with the versions of the lock for this Python; raises LookupError."""
    versions: dict[str, str] = {}
    for line in lock.splitlines():
        requirement, _, marker = line.partition(" ; ")
        if not re.search(r"python_full_version < '3\.12'", marker):
            name, _, version = requirement.partition("==")
            versions[name] = version
    if missing := [name for name in names if name not in versions]:
        raise LookupError(f"requirements.lock lacks {', '.join(missing)}")
    return [f"{name}=={versions[name]}" for name in names]


def download_command(folder: Path, requirements: Sequence[str]) -> list[str]:
    """What pip is asked for: wheels for the machine with the card, whatever this one is."""
    platforms = [f"--platform={platform}" for platform in PLATFORMS]
    options = ["--quiet", "--no-deps", "--only-binary=:all:", f"--python-version={PYTHON}"]
    return ["download", *options, *platforms, f"--dest={folder}", *requirements]


def split(archive: Path, folder: Path, part_bytes: int = PART_BYTES) -> Iterator[tuple[str, int]]:
    """Write the parts of an archive, and `sum`, which has the SHA-256 of the whole."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("part-*"):
        old.unlink()
    whole = hashlib.sha256()
    with archive.open("rb") as file:
        number = 0
        while data := file.read(part_bytes):
            number += 1
            whole.update(data)
            (folder / f"part-{number}").write_bytes(data)
            yield f"part-{number}", len(data)
    (folder / "sum").write_text(f"{whole.hexdigest()}  wheels.tar\n")


if __name__ == "__main__":
    sys.exit(main())
