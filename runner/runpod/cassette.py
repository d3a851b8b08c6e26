"""A saved conversation: a folder with one JSON file an exchange, and the pictures, sounds and videos beside them.

::

    cassettes/card/
      cassette.json                      format, and where it was recorded
      v2-flux-run-1a2b3c4d-1.json        an exchange: what was asked, what was answered
      files/ab12….png                    the body of an answer that is no text, by its digest
      choices/photo-1a2b3c4d.json        what a person answered, by the key of the question

An exchange is found by method, path without the host, and body; its name says the same, so that recording again gives
readable diffs. Files in a request count by their bytes, sent as an address or not. Keys, tokens and all headers of
requests stay out.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit

from ..errors import CallFailed, CannotStart, UsageError
from ..model import JSON, canonical
from . import wire

FORMAT = 1
ABOUT = "cassette.json"
CHOICES = "choices"

_HEADERS = ("content-type", "location", "retry-after")
_PLAIN = ("accept", "accept-encoding", "connection", "content-length", "content-type", "host", "user-agent")
"""Headers of requests that hold no secret."""

_SHORTEST_SECRET = 8
_SHORTEST_FILE = 1000
"""Characters of base64 from which it is a file beside and not text in an exchange."""
_STATUS = re.compile(r"/status-sync/(?=[^/]+$)")
_OF_A_JOB = re.compile(r"/(status|stream)/[^/]+$")
_SUFFIXES = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "audio/wav": "wav", "audio/x-wav": "wav",
             "audio/mpeg": "mp3", "video/mp4": "mp4"}  # fmt: skip

Answer: TypeAlias = tuple[int, dict[str, str], bytes]


class NotRecorded(CallFailed):
    """A replayed run asks for something that the cassette does not hold."""

    fault = "replay"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request in its one spelling. ``route`` is the path as it was sent; all looks at a job are one request."""

    method: str
    path: str
    body: JSON
    route: str

    @property
    def print(self) -> str:
        """What makes two requests the same."""
        return canonical([self.method, self.path, self.body])


@dataclass(slots=True)
class Exchange:
    """One file of a cassette."""

    name: str
    asked: Asked
    response: Mapping[str, JSON]
    used: bool = False


@dataclass(slots=True)
class _Tape:
    """The exchanges of one request, in order, and how many were replayed."""

    exchanges: list[Exchange] = field(default_factory=list)
    at: int = 0


class Cassette:
    """A cassette in a folder. Recording adds to it: what is asked again takes the place of what was recorded before."""

    def __init__(self, folder: Path, about: Mapping[str, JSON], secrets: Iterable[str] = ()) -> None:
        self.folder, self.about = folder, about
        self.kept = 0
        self.broken = ""
        """Why the recording is not whole; a run that pays does not end for it."""
        self._secrets = {secret for secret in map(str.strip, secrets) if len(secret) >= _SHORTEST_SECRET}
        self._tapes: dict[str, _Tape] = {}
        self._files: dict[str, str] = {}
        """Path of a file → digest of its bytes: a request may name it by address, or hold it."""
        self._renewed: set[str] = set()

    @classmethod
    def to_record(cls, folder: Path, about: Mapping[str, JSON], secrets: Iterable[str]) -> Cassette:
        """A cassette to record on, new or not. `CannotStart` if the folder cannot be written."""
        cassette = cls(folder, {"format": FORMAT, **about}, secrets)
        try:
            if (folder / ABOUT).exists():
                if about_of(folder) != cassette.about:
                    msg = f"The recording {folder} was made with another server. Record into another folder."
                    raise UsageError(msg)
                cassette._load()
            (folder / "files").mkdir(parents=True, exist_ok=True)
            _write(folder / ABOUT, _pretty(cassette.about))
        except OSError as err:
            msg = f"The recording {folder} cannot be written: {err.strerror}."
            raise CannotStart(msg) from err
        return cassette

    @classmethod
    def to_replay(cls, folder: Path, secrets: Iterable[str] = ()) -> Cassette:
        """A cassette to replay. `UsageError` if there is none."""
        cassette = cls(folder, about_of(folder), secrets)
        cassette._load()
        return cassette

    # -- what both need ------------------------------------------------------------------------------

    def asked(self, method: str, target: str, content: bytes) -> Asked:
        """A request as it is recorded and looked for."""
        parts = urlsplit(self._hidden(target))
        # How long to hold a request is our politeness, not what we want to know.
        query = urlencode([(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if k != "wait"])
        route = parts.path + (f"?{query}" if query else "")
        try:
            body = json.loads(self._hidden(content.decode())) if content else None
        except ValueError:
            body = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return Asked(method, _STATUS.sub("/status/", route), self._by_digest(body), route)

    def _by_digest(self, value: JSON) -> JSON:
        if isinstance(value, str):
            if value.startswith("data:") and (content := wire.decode(value)) is not None:
                return f"sha256:{hashlib.sha256(content).hexdigest()}"
            if value.startswith(("http://", "https://")):
                digest = self._files.get(_path(value))
                return f"sha256:{digest}" if digest else value
            return value
        if isinstance(value, dict):
            return {k: self._by_digest(v) for k, v in value.items()}
        return [self._by_digest(v) for v in value] if isinstance(value, list) else value

    def _load(self) -> None:
        for path in sorted(self.folder.glob("*.json"), key=_order):
            if path.name == ABOUT:
                continue
            try:
                said = json.loads(path.read_text(encoding="utf-8"))
                request, response = said["request"], said["response"]
                route = str(request["path"])
                asked = Asked(request["method"], _STATUS.sub("/status/", route), request.get("body"), route)
                self._add(Exchange(path.name, asked, {"status": int(response["status"]), **response}))
            except (OSError, ValueError, KeyError, TypeError, RecursionError) as err:
                raise CannotStart(_damaged(path, err)) from err

    def _add(self, exchange: Exchange) -> None:
        self._tapes.setdefault(exchange.asked.print, _Tape()).exchanges.append(exchange)
        if "file" in exchange.response and exchange.asked.method == "GET":
            self._files[exchange.asked.path] = Path(str(exchange.response["file"])).stem

    # -- recording -----------------------------------------------------------------------------------

    def hide_header(self, name: str, value: str) -> None:
        """Keep keys, and what an author sends beside, out of what is recorded, should a server repeat them."""
        value = value.removeprefix("Bearer ")
        if name.lower() not in _PLAIN and len(value) >= _SHORTEST_SECRET:
            self._secrets.add(value)

    def keep(self, asked: Asked, status: int, headers: Mapping[str, str], content: bytes) -> None:
        """Write an exchange. A look at a job that shows nothing new is left out."""
        try:
            self._keep(asked, status, headers, content)
        except OSError as err:
            self.broken = self.broken or f"{self.folder} cannot be written: {err.strerror}"

    def keep_choice(self, cell: str, key: str, answer: Mapping[str, JSON]) -> None:
        """Write what a person answered to the question of a cell."""
        slug = re.sub(r"[^A-Za-z0-9._]+", "-", cell).strip("-")[-150:]
        path = self.folder / CHOICES / f"{slug}-{key[:8]}.json"
        try:
            path.parent.mkdir(exist_ok=True)
            _write(path, _pretty({"cell": cell, "question": key, "answer": answer}))
        except OSError as err:
            self.broken = self.broken or f"{self.folder} cannot be written: {err.strerror}"

    def _keep(self, asked: Asked, status: int, headers: Mapping[str, str], content: bytes) -> None:
        said = {name: self._hidden(headers[name]) for name in _HEADERS if name in headers}
        response = {"status": status, **({"headers": said} if said else {}), **self._body(content, said)}
        tape = self._tapes.setdefault(asked.print, _Tape())
        if asked.print not in self._renewed:
            self._renewed.add(asked.print)
            for old in tape.exchanges:
                (self.folder / old.name).unlink(missing_ok=True)
            tape.exchanges.clear()
        last = tape.exchanges[-1] if tape.exchanges else None
        if last is not None and "/status/" in asked.path and (last.asked, last.response) == (asked, response):
            return
        slug = re.sub(r"[^A-Za-z0-9._]+", "-", asked.route).strip("-")[-150:]
        digest = hashlib.sha256(asked.print.encode()).hexdigest()[:8]
        name = f"{slug}-{digest}-{len(tape.exchanges) + 1}.json"
        request = {"method": asked.method, "path": asked.route, **({"body": asked.body} if asked.body else {})}
        _write(self.folder / name, _pretty({"request": request, "response": response}))
        self._add(Exchange(name, asked, response))
        self.kept += 1

    def _body(self, content: bytes, headers: Mapping[str, str]) -> dict[str, JSON]:
        """A body as JSON or as lines of text where it is that, else as the name of a file beside."""
        if not content:
            return {}
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if not kind.startswith(("image/", "audio/", "video/")):
            try:
                text = self._hidden(content.decode())
            except UnicodeDecodeError:
                return {"file": self._file(content, kind)}
            try:
                return {"json": self._packed(json.loads(text))}
            except (ValueError, RecursionError):
                return {"text": text.splitlines(keepends=True)}
        return {"file": self._file(content, kind)}

    def _packed(self, value: JSON) -> JSON:
        if isinstance(value, str) and len(value) >= _SHORTEST_FILE:
            before, comma, rest = value.partition(",") if value.startswith("data:") else ("", "", value)
            content = wire.decode(value)
            if content is not None and base64.b64encode(content).decode() == rest:
                kind = before.removeprefix("data:").partition(";")[0]
                return {"$file": self._file(content, kind), "before": before + comma}
        if isinstance(value, dict):
            return {k: self._packed(v) for k, v in value.items()}
        return [self._packed(v) for v in value] if isinstance(value, list) else value

    def _file(self, content: bytes, kind: str) -> str:
        name = f"files/{hashlib.sha256(content).hexdigest()}.{_SUFFIXES.get(kind, 'bin')}"
        if not (self.folder / name).exists():
            _write(self.folder / name, content)
        return name

    def _hidden(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        return text

    # -- replaying -----------------------------------------------------------------------------------

    def choices(self) -> dict[str, JSON]:
        """What persons answered when it was recorded, by the key of the question. `CannotStart` for what is damaged."""
        found = {}
        for path in sorted((self.folder / CHOICES).glob("*.json")):
            try:
                said = json.loads(path.read_text(encoding="utf-8"))
                found[str(said["question"])] = dict(said["answer"])
            except (OSError, ValueError, KeyError, TypeError, RecursionError) as err:
                raise CannotStart(_damaged(path, err)) from err
        return found

    def answer(self, asked: Asked) -> Answer:
        """The next answer to a request. The last one of a GET is repeated; asking for more of others is new."""
        tape = self._tapes.get(asked.print)
        if tape is None:
            raise NotRecorded(self._missing(asked))
        while tape.at < len(tape.exchanges):
            exchange = tape.exchanges[tape.at]
            exchange.used = True
            tape.at += 1
            if not self._lacks_route(exchange, tape):
                return self._answer(exchange.response)
        last = tape.exchanges[-1]
        if asked.method != "GET":
            msg = (
                f"{last.name} in {self.folder} has been used, and the run asks for it once more: "
                f"it recorded {asked.method} {asked.path} {len(tape.exchanges)} times with this body"
            )
            raise NotRecorded(msg)
        state = last.response.get("json")
        status = state.get("status") if isinstance(state, dict) else None
        if _OF_A_JOB.search(asked.path) and last.response["status"] == 200 and status not in wire.ENDS:
            raise NotRecorded(f"{last.name} is the last look at its job in {self.folder}, which has not ended there")
        return self._answer(last.response)

    def _lacks_route(self, exchange: Exchange, tape: _Tape) -> bool:
        """A 404 of an endpoint without /status-sync: who learned that first, and so asked in vain, is chance."""
        return exchange.response["status"] == 404 and any(other.response["status"] == 200 for other in tape.exchanges)

    def unused(self) -> list[str]:
        """The names of exchanges that nobody asked for."""
        return sorted(
            exchange.name for tape in self._tapes.values() for exchange in tape.exchanges if not exchange.used
        )

    def _answer(self, response: Mapping[str, JSON]) -> Answer:
        headers = {name: value for name, value in (response.get("headers") or {}).items() if name != "retry-after"}
        try:
            if "file" in response:
                content = self._bytes(response["file"])
            elif "text" in response:
                content = "".join(response["text"]).encode()
            else:
                content = json.dumps(self._unpacked(response["json"])).encode() if "json" in response else b""
        except OSError as err:
            msg = f"a file of the recording {self.folder} cannot be read: {err.filename}: {err.strerror}"
            raise NotRecorded(msg) from err
        return int(response["status"]), headers, content

    def _bytes(self, name: str) -> bytes:
        """A file beside the exchanges. `NotRecorded` if its bytes are no longer those that its name says."""
        content = (self.folder / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != Path(name).stem:
            msg = f"{self.folder / name} has changed since it was recorded; bring it back, or record it again"
            raise NotRecorded(msg)
        return content

    def _unpacked(self, value: JSON) -> JSON:
        if isinstance(value, dict):
            if set(value) == {"$file", "before"}:
                content = self._bytes(value["$file"])
                return value["before"] + base64.b64encode(content).decode()
            return {k: self._unpacked(v) for k, v in value.items()}
        return [self._unpacked(v) for v in value] if isinstance(value, list) else value

    def _missing(self, asked: Asked) -> str:
        """What was asked for, the recording that is nearest to it, and how it differs."""
        told = f"there is no recording of {asked.method} {asked.path} with this body in {self.folder}"
        exchanges = [tape.exchanges[0] for tape in self._tapes.values()]
        same = [each for each in exchanges if (each.asked.method, each.asked.path) == (asked.method, asked.path)]
        alike = same or [each for each in exchanges if _tail(each.asked.path) == _tail(asked.path)]
        if not alike:
            return f"{told}, nor of anything like it"
        found = {each.name: list(_differences(each.asked.body, asked.body)) for each in alike}
        nearest = min(alike, key=lambda each: len(found[each.name]))
        differences = found[nearest.name]
        if nearest.asked.path != asked.path:
            differences.insert(0, f"path: recorded {nearest.asked.path}")
        more = f"; and {len(differences) - 3} more" if len(differences) > 3 else ""
        return f"{told}. The nearest is {nearest.name}, which differs in {'; '.join(differences[:3])}{more}"


def about_of(folder: Path) -> Mapping[str, JSON]:
    """Where a cassette was recorded: ``origin``, ``base`` path, ``local``. `UsageError` if there is none."""
    try:
        said = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"There is no recording in {folder}. Make one with runner run --record {folder}."
        raise UsageError(msg) from None
    except (OSError, ValueError, RecursionError) as err:
        raise CannotStart(_damaged(folder / ABOUT, err)) from err
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        found = said.get("format") if isinstance(said, dict) else None
        msg = f"The recording {folder} has format {found!r}; this runner reads {FORMAT}. Record it again."
        raise UsageError(msg)
    return said


def _differences(recorded: JSON, asked: JSON, where: str = "") -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(asked, dict):
        for name in dict.fromkeys([*recorded, *asked]):
            yield from _differences(recorded.get(name), asked.get(name), f"{where}.{name}" if where else name)
    elif isinstance(recorded, list) and isinstance(asked, list) and len(recorded) == len(asked):
        for index, (old, new) in enumerate(zip(recorded, asked, strict=True)):
            yield from _differences(old, new, f"{where}[{index}]")
    elif recorded != asked:
        yield f"{where or 'the body'}: recorded {wire.shown(recorded, 100)!r}, asked {wire.shown(asked, 100)!r}"


def _damaged(path: Path, err: Exception) -> str:
    return f"The recording {path} cannot be read: {err}. Bring it back, record it again, or take it away."


def _path(url: str) -> str:
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _tail(path: str) -> str:
    """``run`` of ``/v2/flux/run``, ``status`` of ``/v2/flux/status/JOB``."""
    return "status" if _OF_A_JOB.search(path) else path.rpartition("/")[2]


def _order(path: Path) -> tuple[int, str]:
    """Exchanges of one request by their number, whatever their names: looks at a job may take two routes."""
    name, _, number = path.stem.rpartition("-")
    return int(number) if number.isdigit() else 0, name


def _write(path: Path, content: str | bytes) -> None:
    new = path.with_name(f".new-{path.name}")
    new.write_bytes(content.encode() if isinstance(content, str) else content)
    new.replace(path)


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
