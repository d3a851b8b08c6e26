"""What a run would need, looked at before one: pipelines and the environment in, findings out, each with its cure.

Nothing here costs money: endpoints are asked for their health and other servers for their models, both by GET.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import socket
import ssl
import sys
import tempfile
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import anyio

from . import __version__, catalogue
from .errors import Busy, CallFailed, CannotStart, ConnectionLost, NotSent, ServerFailed, nearest, one_line
from .files import is_url
from .loading import Read, project
from .model import JSON
from .options import BASE_URL
from .runpod.client import LOOPBACK, Client, KeyRefused, NotFound
from .runpod.pace import chosen
from .store import Store

State: TypeAlias = Literal["ok", "note", "wrong"]

WITHIN = 20.0
"""Seconds in which an answer must be there."""

LEAST_FREE = 500_000_000
"""Bytes of disk: a run of pictures needs some, one of videos more."""

_DISTRIBUTION = "recipe-runner"
_AT_LEAST = re.compile(r"([A-Za-z0-9._-]+)\s*>=\s*([0-9.]+)\s*\Z")
_SHOWN: Mapping[State, tuple[str, str]] = {
    "ok": ("✓", "\033[32m"),
    "note": ("!", "\033[33m"),
    "wrong": ("✗", "\033[31m"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``note`` is worth saying and stops no run."""

    what: str
    state: State
    said: str
    instead: str = ""


@dataclass(slots=True)
class _Wanted:
    """What the pipelines call: Runpod's endpoints, and other servers with the models wanted there."""

    endpoints: dict[str, bool] = field(default_factory=dict)
    """By name; whether the catalogue knows it."""
    servers: dict[tuple[str, str | None], list[str]] = field(default_factory=dict)
    anybody: str = ""
    """A public endpoint to ask, where no other tells whether Runpod is there and takes the key."""


async def examine(reads: Sequence[Read], env: Mapping[str, str], local: bool = False) -> list[Finding]:  # noqa: FBT001, FBT002 - anyio.run passes by place
    """Everything that was looked at, in the order in which a run would need it."""
    homes = dict.fromkeys(project(read.path) for read in reads) or {project(Path("pipeline.yaml")): None}
    findings = [_python(), _packages()]
    for home in homes:
        findings += _disk(home / ".runner")
    findings += [_pipeline(read) for read in reads]
    wanted = _wanted(reads, local=local)
    async with AsyncExitStack() as stack:
        if local:
            from .emulator import Emulator

            try:
                emulator = stack.enter_context(Emulator())
            except OSError as err:
                return [*findings, Finding("emulator", "wrong", f"It cannot start: {err.strerror or err}.")]
            findings.append(Finding("key", "ok", "none is needed with --local"))
            return findings + await _answers("emulator", emulator.url, "local", wanted, env)
        try:
            chosen(env.get("RUNPOD_LIMITS", ""))
        except CannotStart as err:
            findings.append(Finding("limits", "wrong", str(err)))
        if reads and not wanted.endpoints and all(read.checked for read in reads):
            findings.append(Finding("key", "ok", "none is needed: nothing here asks Runpod"))
            return findings + await _answers("address", BASE_URL, "", wanted, env)
        wanted.anybody = "" if any(wanted.endpoints.values()) else _public()
        base_url = env.get("RUNPOD_BASE_URL", "").strip() or BASE_URL
        key, wrong = _key(env, base_url)
        findings += wrong
        if not is_url(base_url):
            instead = f"Write an http address, or leave it out: Runpod is at {BASE_URL}."
            return [*findings, Finding("address", "wrong", f"RUNPOD_BASE_URL is {base_url!r}.", instead)]
        return findings + await _answers("address", base_url, key, wanted, env)


# -- this machine -----------------------------------------------------------------------------------


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()}, runner {__version__}")


def _packages() -> Finding:
    """The packages that runner says it needs, with their versions."""
    try:
        needed = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return Finding("packages", "note", "runner is not installed as a package, so what it needs is not known")
    found, wrong = [], []
    for name, least in (match.groups() for need in needed if (match := _AT_LEAST.match(need))):
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        found.append(f"{name} {version}")
        if _numbers(version) < _numbers(least):
            wrong.append(f"{name} is {version}, at least {least} is needed")
    if wrong:
        return Finding("packages", "wrong", "; ".join(wrong), f"{sys.executable} -m pip install {_DISTRIBUTION}")
    return Finding("packages", "ok", ", ".join(found))


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"[0-9.]*", version)
    return tuple(int(part) for part in (found[0] if found else "").split(".") if part)


def _disk(home: Path, least: int = LEAST_FREE) -> Iterator[Finding]:
    """Whether a run can keep what it pays for. Where there is no ``.runner/`` yet, none is made."""
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
        if there == home:
            Store(home / "store").close()
    except OSError as err:
        instead = "Allow writing there, or keep the pipelines elsewhere."
        yield Finding("store", "wrong", f"{there} cannot be written: {err.strerror or err}.", instead)
        return
    except CannotStart as err:
        yield Finding("store", "wrong", str(err))
        return
    yield Finding("store", "ok", f"{home}" if there == home else f"{home} can be made")
    free = shutil.disk_usage(there).free
    if free < least:
        yield Finding("disk", "wrong", f"{free / 1e6:.0f} MB are free at {there}.", "Free the disk.")
    else:
        yield Finding("disk", "ok", f"{free / 1e9:.1f} GB free")


def _pipeline(read: Read) -> Finding:
    count = sum(not problem.warning for problem in read.problems)
    if count:
        said = f"has {count} problem{'s' * (count != 1)}, so its models are not looked at"
        return Finding(str(read.path), "wrong", said, f"runner check {read.path}")
    return Finding(str(read.path), "ok", "no problems")


def _wanted(reads: Iterable[Read], *, local: bool) -> _Wanted:
    wanted = _Wanted()
    for model in (model for read in reads if read.checked for model in read.checked.models()):
        if model.base_url is None:
            wanted.endpoints[model.endpoint] = model.known
        elif not local:  # then the emulator plays it
            names = wanted.servers.setdefault((model.base_url, model.api_key_env), [])
            names += [model.id] if model.id not in names else []
    return wanted


# -- the key and who answers ------------------------------------------------------------------------


def _key(env: Mapping[str, str], base_url: str) -> tuple[str, list[Finding]]:
    """The key, empty if none can be sent; and what is wrong with it as it stands."""
    key = env.get("RUNPOD_API_KEY", "").strip()
    instead = "Copy it again from Runpod's console: it begins with rpa_."
    if not key:
        how = "Set it (export RUNPOD_API_KEY=rpa_…), or add --local to run against the built-in emulator at no cost."
        return "", [Finding("key", "wrong", "There is no RUNPOD_API_KEY.", how)]
    if not key.isascii() or not key.isprintable() or " " in key:
        return "", [Finding("key", "wrong", "RUNPOD_API_KEY holds characters that a key cannot have.", instead)]
    if urlsplit(base_url).hostname in LOOPBACK or key.startswith("rpa_"):
        return key, []
    if key.startswith("rps_"):
        return "", [Finding("key", "wrong", "RUNPOD_API_KEY is a key for Runpod's S3 storage (rps_…).", instead)]
    return key, [
        Finding("key", "note", "RUNPOD_API_KEY does not look like a key: it does not begin with rpa_", instead)
    ]


async def _answers(name: str, base_url: str, key: str, wanted: _Wanted, env: Mapping[str, str]) -> list[Finding]:
    """Ask all endpoints and servers at the same time, and say what their answers mean."""
    said: dict[str, JSON | CallFailed] = {}
    models: dict[tuple[str, str | None], JSON | CallFailed] = {}
    endpoints = list(wanted.endpoints)
    asked = [*endpoints, *([wanted.anybody] if wanted.anybody else [])]
    async with Client(base_url, key) as client, anyio.create_task_group() as tasks:

        async def health(endpoint: str) -> None:
            said[endpoint] = await _asked(client.health(endpoint))

        async def listed(server: tuple[str, str | None]) -> None:
            models[server] = await _asked(client.models_at(server[0], env.get(server[1] or "")))

        for endpoint in asked:
            tasks.start_soon(health, endpoint)
        for server in wanted.servers:
            tasks.start_soon(listed, server)
    answers = {endpoint: said[endpoint] for endpoint in asked}
    findings = [_address(name, base_url, answers)] if answers or name == "emulator" else []
    if name == "address" and key and answers:
        findings.append(_accepted(answers.values()))
    if findings and findings[0].state != "wrong":
        usable = bool(key) and findings[-1].state != "wrong"
        findings += [_endpoint(each, answers[each], usable_key=usable) for each in endpoints or asked]
    for server, names in wanted.servers.items():
        findings += _server(server, names, models[server], env)
    return findings


async def _asked(question: Coroutine[object, object, JSON]) -> JSON | CallFailed:
    try:
        with anyio.fail_after(WITHIN):
            return await question
    except CallFailed as err:
        return err
    except TimeoutError:
        return NotSent(f"no answer in {WITHIN:g} s")


def _public() -> str:
    return next(model.endpoint for model in catalogue.builtin().models.values() if model.status == "listed")


def _address(name: str, base_url: str, answers: Mapping[str, JSON | CallFailed]) -> Finding:
    """Whether anybody is there, and whether it is Runpod: the best of the answers counts."""
    failed = [answer for answer in answers.values() if isinstance(answer, CallFailed)]
    if not answers:
        return Finding(name, "ok", base_url)
    there = [answer for answer in failed if not isinstance(answer, NotSent | ConnectionLost)]
    if len(failed) < len(answers) or any(not isinstance(answer, NotFound | ServerFailed) for answer in there):
        return Finding(name, "ok", base_url)
    if not there:
        said, instead = _unreachable(failed[0], base_url)
        return Finding(name, "wrong", said, instead or f"Check RUNPOD_BASE_URL; Runpod is at {BASE_URL}.")
    if all(isinstance(answer, NotFound) for answer in there):
        instead = f"Check RUNPOD_BASE_URL; Runpod is at {BASE_URL}."
        return Finding(
            name, "wrong", f"HTTP: {base_url} answers, and knows none of {', '.join(answers)} (404).", instead
        )
    return Finding(name, "wrong", f"HTTP: {there[0]}.", "Try again later; nothing is wrong on this side.")


def _unreachable(err: CallFailed, base_url: str) -> tuple[str, str]:
    """Where on the way it ended, DNS, TCP, TLS or HTTP, and what to do; no advice where the address may be wrong."""
    host = urlsplit(base_url).netloc
    causes = list(_causes(err))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return f"DNS: the name {host} is not found.", "Check the network and the name."
    if broken := next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None):
        why = one_line(getattr(broken, "verify_message", "") or broken.reason or str(broken))
        instead = "Check this machine's clock, and whether a proxy stands between; an http:// server wants http://."
        return f"TLS: no secure connection to {host}: {why}.", instead
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return f"TCP: nobody listens at {host}.", "Start the server there, or check the address."
    if isinstance(err, ConnectionLost):
        return f"HTTP: {err}.", ""
    return f"TCP: {err}.", "Check the network, a firewall, and HTTPS_PROXY if you are behind a proxy."


def _causes(err: BaseException | None) -> Iterator[BaseException]:
    while err is not None:
        yield err
        if isinstance(err, BaseExceptionGroup):
            for each in err.exceptions:
                yield from _causes(each)
        err = err.__cause__ or err.__context__


def _accepted(answers: Iterable[JSON | CallFailed]) -> Finding:
    answers = list(answers)
    if any(not isinstance(answer, CallFailed) for answer in answers):
        return Finding("key", "ok", "RUNPOD_API_KEY is accepted")
    refused = [answer for answer in answers if isinstance(answer, KeyRefused)]
    if refused:
        instead = "Copy it again from Runpod's console, or make a new one that may use these endpoints."
        return Finding("key", "wrong", "RUNPOD_API_KEY is refused.", instead)
    return Finding("key", "note", "RUNPOD_API_KEY is set; nobody has said whether it is accepted")


def _endpoint(name: str, answer: JSON | CallFailed, *, usable_key: bool) -> Finding:
    """What an endpoint's health says."""
    match answer:
        case KeyRefused() if not usable_key:
            return Finding(name, "note", "tells nothing without a key that it accepts")
        case KeyRefused():
            return Finding(name, "wrong", "The key may not use it.", "Give the key access to it in Runpod's console.")
        case NotFound():
            return Finding(
                name, "wrong", "There is no such endpoint (404).", "Check its id under models:, and the account."
            )
        case Busy():
            return Finding(name, "note", "over its rate limit (429): somebody asks it a lot")
        case CallFailed():
            return Finding(name, "wrong", f"{answer}.", "Try again later.")
    jobs, workers = _counts(answer, "jobs"), _counts(answer, "workers")
    if not jobs and not workers:
        return Finding(name, "note", "answers, and says nothing of jobs and workers")
    queued = jobs.get("inQueue", 0)
    up = ", ".join(f"{count} {state}" for state, count in workers.items() if count and state != "ready")
    said = f"{queued} job{'s' * (queued != 1)} in the queue; workers: {up or 'none is up'}"
    if queued and not any(count for state, count in workers.items() if state != "throttled"):
        instead = "Look in Runpod's console whether it may have workers, and whether their GPUs are to be had."
        return Finding(name, "note", said, instead)
    return Finding(name, "ok", said)


def _counts(answer: JSON, of: str) -> dict[str, int]:
    found = answer.get(of) if isinstance(answer, dict) else None
    return {str(k): v for k, v in found.items() if isinstance(v, int)} if isinstance(found, dict) else {}


def _server(
    server: tuple[str, str | None], names: Sequence[str], answer: JSON | CallFailed, env: Mapping[str, str]
) -> Iterator[Finding]:
    """What an OpenAI-compatible server's list of models says."""
    base_url, key_env = server
    unset = key_env is not None and not env.get(key_env)
    if unset:
        yield Finding(base_url, "wrong", f"Its key is not set: {key_env}.", f"Set it (export {key_env}=…).")
    match answer:
        case KeyRefused():
            if not unset:
                said = f"It refuses the key in {key_env}." if key_env else "It wants a key."
                yield Finding(base_url, "wrong", said, "" if key_env else "Name its variable with api_key_env:.")
            return
        case NotSent() | ConnectionLost():
            said, instead = _unreachable(answer, base_url)
            yield Finding(base_url, "wrong", said, instead or "Check base_url:.")
            return
        case ServerFailed():
            yield Finding(base_url, "wrong", f"{answer}.", "Look at that server's own log.")
            return
        case CallFailed():
            yield Finding(base_url, "note", f"is there, and does not tell its models: {answer}")
            return
    rows = answer.get("data") if isinstance(answer, dict) else None
    listed = (
        [one_line(str(row.get("id")), 80) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    )
    for name in names:
        if not listed:
            yield Finding(base_url, "note", "is there, and lists no models")
            return
        if name in listed:
            yield Finding(base_url, "ok", f"has {name}")
        else:
            yield Finding(base_url, "wrong", f"It has no {name}.", nearest(name, listed))


# -- how it is told ---------------------------------------------------------------------------------


def text(findings: Sequence[Finding], *, fancy: bool) -> str:
    """A line for each, and its cure below: with marks and colours on a terminal, in words elsewhere."""
    wide = max(len(finding.what) for finding in findings if len(finding.what) <= 40)
    lines = []
    for finding in findings:
        mark, colour = _SHOWN[finding.state]
        shown = f"{colour}{mark}\033[0m" if fancy else f"{finding.state:5}"
        lines.append(f"{shown} {one_line(finding.what):{wide}}  {one_line(finding.said)}")
        if finding.instead:
            lines.append(f"{' ' * (1 if fancy else 5)} {'':{wide}}  = {finding.instead}")
    wrong = sum(finding.state == "wrong" for finding in findings)
    end = f"{wrong} thing{'s are' if wrong != 1 else ' is'} wrong" if wrong else "nothing is wrong"
    return "\n".join([*lines, end])


def as_json(findings: Sequence[Finding]) -> str:
    """The same for programs."""
    ok = all(finding.state != "wrong" for finding in findings)
    return json.dumps({"ok": ok, "findings": [asdict(finding) for finding in findings]}, ensure_ascii=False, indent=2)
