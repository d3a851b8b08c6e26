"""The outputs of a run where the author expects them: files under ``--out``, the rest in ``outputs.json``.

Each file appears whole or not at all, and never outside the folder.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import yaml

from .errors import StoreFailed
from .media import convert
from .model import JSON, Artifact
from .provenance import Made, mark

REST = "outputs.json"


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
    for name, value in [*writable, *([(REST, rest)] if rest else [])]:
        if stopped():
            break
        try:
            written[name] = write(out / name, value, writer=run, made=made)
        except StoreFailed as err:
            failed[name] = str(err)
    return written, failed


def write(path: Path, value: JSON, *, verbatim: bool = False, writer: str = "", made: Made | None = None) -> Path:
    """One output: a file is copied, or converted where the suffix asks for another kind of picture.

    ``writer`` is who writes it: two at once do not write into one another's. ``verbatim`` text is
    written as it is, whatever the suffix.
    """
    suffix = path.suffix.lower()
    if isinstance(value, Artifact):
        return _whole(path, lambda target: _file(value, target, suffix, made), writer)
    if verbatim:
        text = str(value)
    elif suffix in (".yaml", ".yml"):
        text = yaml.safe_dump(plain(value), allow_unicode=True, sort_keys=False)
    elif suffix == ".json" or not isinstance(value, str):
        text = json.dumps(plain(value), ensure_ascii=False, indent=2) + "\n"
    else:
        text = value
    return _whole(path, lambda target: _save(target, text), writer)


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
