"""Builds `stt` into one file that runs without Python: `python tools/build_worker.py`.

    pip install '.[node,build]'
    python tools/build_worker.py          dist/stt-worker, for machines like this one
    dist/stt-worker --server http://gpu-box:8081
    dist/stt-worker node register --server https://stt.example.org --name "Rented GPU"

It runs on this system, on this kind of processor, and on Linux with this glibc or a newer one. The
whisper server is not in it (with its libraries it would be ten times as large): it works with one
that is there, STT_SERVER_URL or --server.
"""

import argparse
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Large, and no part of a worker; the tests' libraries come along where they are installed.
LEFT_OUT = ("ctranslate2", "faster_whisper", "mlx", "numba", "scipy", "torch", "IPython", "pytest")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("dist"), help="folder (dist)")
    parser.add_argument("--name", default="stt-worker", help="of the file (stt-worker)")
    arguments = parser.parse_args()
    if find_spec("PyInstaller") is None:
        sys.exit("PyInstaller is not here: pip install '.[node,build]'")
    program = build(arguments.output.resolve(), arguments.name)
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    if version.returncode != 0:
        sys.exit(f"{program} was built and does not run:\n{version.stdout}{version.stderr}")
    print(f"{program}: {version.stdout.strip()}, {program.stat().st_size / 1e6:.0f} MB")


def build(folder: Path, name: str) -> Path:
    """The path of the program; exits with PyInstaller's own word if it fails."""
    with tempfile.TemporaryDirectory(prefix="stt-build-") as scratch:
        command = [sys.executable, "-m", "PyInstaller", "--onefile", "--clean", "--noconfirm"]
        command += ["--name", name, "--distpath", str(folder)]
        command += ["--workpath", scratch, "--specpath", scratch, "--log-level", "WARN"]
        command += ["--paths", str(ROOT), "--copy-metadata", "stt"]
        # Commands import what they need when they run; pages and recordings are files.
        command += ["--collect-submodules", "stt", "--collect-data", "stt"]
        command += ["--collect-submodules", "uvicorn"]
        for module in LEFT_OUT:
            command += ["--exclude-module", module]
        done = subprocess.run([*command, str(ROOT / "stt" / "__main__.py")], check=False)
    if done.returncode != 0:
        sys.exit(f"PyInstaller failed with exit code {done.returncode}, see above")
    return folder / (f"{name}.exe" if sys.platform == "win32" else name)


if __name__ == "__main__":
    main()
