"""The outputs of a run where the author expects them: files under ``--out``, the rest in ``outputs.json``.

Each file appears whole or not at all, and never outside the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from .errors import StoreFailed
from .media import convert
from .model import JSON, Artifact, json_line
from .provenance import Made, mark

REST = "outputs.json"

AT_ONCE = min(8, os.cpu_count() or 1)
"""How many outputs are written at once."""

LONG = 20_000
"""Characters of an output that is no file, from which on a journal does not repeat it."""


def publish(
    values: Mapping[str, JSON],
    out: Path,
    run: str,
    made: Made | None = None,
    stopped: Callable[[], bool] = bool,
) -> tuple[dict[str, Path], dict[str, str]]:
    """Write outputs by name; names without a suffix go to ``outputs.json`` together. Pictures carry what ``made`` them.

    Gives back where each is, and why each that could not be written was not. Once it is ``stopped`` nothing more is
    written.
    """
    written: dict[str, Path] = {}
    failed: dict[str, str] = {}
    rest = {name: value for name, value in values.items() if not Path(name).suffix}
    files = {name: value for name, value in values.items() if name not in rest}
    taken = {REST: REST} if rest else {}
    for name in files:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            failed[name] = "it would lie outside the output folder; rename it"
        elif other := taken.get(name.lower()):
            failed[name] = f"it and {other} are one file on many disks; rename one, which costs nothing"
        taken.setdefault(name.lower(), name)
    writable = [(name, value) for name, value in files.items() if name not in failed]

    def one(named: tuple[str, JSON]) -> Path | StoreFailed | None:
        name, value = named
        try:
            return None if stopped() else write(out / name, value, writer=run, made=made)
        except StoreFailed as err:
            return err

    writable += [(REST, rest)] if rest else []
    with ThreadPoolExecutor(AT_ONCE) as threads:  # a picture that is converted keeps a core busy, and Python free
        for (name, _), done in zip(writable, threads.map(one, writable), strict=True):
            if isinstance(done, Path):
                written[name] = done
            elif done is not None:
                failed[name] = str(done)
    return written, failed


def kept_of(values: Mapping[str, JSON], written: Collection[str]) -> dict[str, JSON]:
    """What a run remembers of the outputs that it has written: the next run writes over them."""
    rest = {name: value for name, value in values.items() if not Path(name).suffix}
    whole = {name: rest if name == REST and rest else values[name] for name in written}
    return {name: value for name, value in whole.items() if len(json_line(value)) <= LONG}


def without_file(rest: JSON) -> Iterator[str]:
    """A sentence for each sort of file of which ``outputs.json`` holds only where the store has it: few mean that."""
    first: dict[str, tuple[str, str]] = {}
    for name, value in rest.items() if isinstance(rest, Mapping) else ():
        if isinstance(value, Artifact):
            first.setdefault(value.media, (str(name), value.suffix))
    for name, suffix in first.values():
        yield f"{name} lies only in the store: name the output {name}{suffix}, and it is a file beside the others."


def digests_of(written: Mapping[str, Path]) -> dict[str, str]:
    """The digest of each file that is there, by which it can be told from what is written over it."""
    found = {name: digest(path) for name, path in written.items()}
    return {name: said for name, said in found.items() if said}


def digest(path: Path) -> str:
    """The SHA-256 of a file; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def write(path: Path, value: JSON, *, verbatim: bool = False, writer: str = "", made: Made | None = None) -> Path:
    """One output: a file is copied, or converted where the suffix asks for another kind of picture.

    ``writer`` is who writes it: two at once do not write into one another's. ``verbatim`` text is
    written as it is, whatever the suffix.
    """
    suffix = path.suffix.lower()
    if isinstance(value, Artifact):
        return _whole(path, lambda target: _file(value, target, suffix, made), writer)
    text = str(value) if verbatim else written(path.name, value)
    return _whole(path, lambda target: _save(target, text), writer)


def written(name: str, value: JSON) -> str:
    """A value that is no file as the text of one, by its suffix."""
    suffix = Path(name).suffix.lower()
    if suffix in (".yaml", ".yml"):
        return yaml.safe_dump(plain(value), allow_unicode=True, sort_keys=False)
    if suffix == ".json" or not isinstance(value, str):
        return json.dumps(plain(value), ensure_ascii=False, indent=2) + "\n"
    return value


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    """A text that is too large to hold at once."""

    def fill(target: Path) -> None:
        with target.open("w", encoding="utf-8") as file:
            file.writelines(lines)

    return _whole(path, fill)


def plain(value: JSON) -> JSON:
    """A value for readers: a file is its path, type and size."""
    if isinstance(value, Artifact):
        names = ("path", "url", "media_type", "bytes", "sha256", "width", "height", "seconds")
        facts = {name: getattr(value, name) for name in names}
        return {k: v for k, v in facts.items() if v is not None}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def _same(suffix: str, artifact: Artifact) -> bool:
    return {".jpeg": ".jpg"}.get(suffix, suffix) == artifact.suffix


def _whole(path: Path, fill: Callable[[Path], None], writer: str = "") -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # What a killed process left is written over when its run is taken up again: it had the same name.
        new = path.with_name(f".{path.name[:100]}.{writer}.new")
        try:
            fill(new)
            new.chmod(0o644)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as err:
        msg = f"{path} cannot be written: {err.strerror or err}; what was made is kept in the store"
        raise StoreFailed(msg) from err
    return path


def _file(artifact: Artifact, target: Path, suffix: str, made: Made | None) -> None:
    picture = artifact.media == "image"
    if picture and suffix in (".png", ".jpg", ".jpeg", ".webp") and not _same(suffix, artifact):
        convert(Path(artifact.path), target, suffix)
    else:
        shutil.copyfile(artifact.path, target)
    if picture and made is not None and (facts := made(artifact)) is not None:
        mark(target, facts)


def _save(target: Path, text: str) -> None:
    target.write_text(text, encoding="utf-8")
