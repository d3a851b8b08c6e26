"""Runpod as `execute` needs it: submit a job, wait for it, collect its files; chat."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit

import anyio

from ..errors import (
    BadReply,
    BadRequest,
    ConnectionLost,
    DownloadFailed,
    FateUnknown,
    JobCancelled,
    JobExpired,
    JobFailed,
    JobTimedOut,
    Rejected,
)
from ..model import JSON, Artifact, Call, Chat, Finished, Job, Moved, Reply, Ticket
from . import wire
from .carrier import NETWORK, Carrier
from .client import RUN_LIMIT, RUNSYNC_LIMIT, Client, NotFound
from .download import Downloader
from .growth import IDLE, Growth
from .pace import Paces, chosen
from .times import Times

STREAM_PAUSE = 0.2
"""Seconds between two looks at a stream that had nothing new: it shares Runpod's limit with /status."""

SHORTEST_HOLD = 1.0
"""Seconds that /runsync must be held at least; it takes twice as much as /run."""

HOLD = 60.0
"""Seconds to ask Runpod to hold a status request. More is allowed; proxies between give up at about 100."""


class Blobs(Protocol):
    """Where files go. The artifact tells what the bytes are, whatever anybody called them."""

    async def add(self, chunks: AsyncGenerator[bytes, None], *, url: str | None = None) -> Artifact: ...


class Runpod:
    """The provider behind one base URL. ``origin`` names it in keys: the emulator's port does not matter."""

    def __init__(
        self,
        base_url: str,
        key: str,
        blobs: Blobs,
        *,
        connections: int = 64,
        origin: str | None = None,
        env: Mapping[str, str] = MappingProxyType({}),
        times: Path | None = None,
        paces: Paces | None = None,
        carrier: Carrier = NETWORK,
        idle: float = IDLE,
    ) -> None:
        """``env`` holds the keys of other servers, and ``RUNPOD_LIMITS`` where ``paces`` are not given; ``times`` is
        where the times of past jobs are kept; ``idle`` are the seconds for which a stream may say nothing.
        """
        paces = paces or (chosen(env.get("RUNPOD_LIMITS", "")) if carrier.network else None)
        self.client = Client(base_url, key, connections=connections, paces=paces, carrier=carrier)
        self.downloader = Downloader(local=self.client.local, carrier=carrier)
        self._carrier = carrier
        self.origin = origin or self.client.base_url
        self._blobs = blobs
        self._env = env
        self._times = Times(times)
        self._holds: dict[str, bool] = {}
        """Whether an endpoint answers /status-sync, once that is known."""
        self._idle = idle
        self._streamless: set[str] = set()
        """Servers that are asked for whole answers, because a stream of theirs failed."""
        self._parts: dict[str, list[JSON]] = {}
        """What streamed jobs have said so far, by job."""
        self._named: set[tuple[str, str | None]] = set()
        """Files that an author names by a URL, with that URL: another step's file of the same bytes is not sent so."""
        self._urls: dict[str, str] = {}
        """Where the files that this run has fetched still are, by digest: sent on instead of their bytes."""

    async def __aenter__(self) -> Self:
        await self.client.__aenter__()
        await self.downloader.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._times.save()
        await self.downloader.__aexit__(kind, error, trace)
        await self.client.__aexit__(kind, error, trace)

    def pause(self, call: Call) -> float:
        """Seconds for which the endpoint wants no such call; 0 if it says nothing of the kind."""
        if isinstance(call, Job):
            return self.client.paces.of(call.endpoint, "run").pause()
        return self.client.paces.of(*((call.base_url, "") if call.base_url else (call.endpoint, "openai"))).pause()

    async def submit(self, job: Job, within: float, sending: Callable[[], None] | None = None) -> Ticket:
        """Hand in a job. ``within`` bounds the seconds that its being taken may take; ``sending`` is called right
        before anything is sent.
        """
        sent = {"input": await self._input(job), **({"policy": job.policy} if job.policy else {})}
        body = json.dumps(sent, ensure_ascii=False).encode()
        if len(body) > RUNSYNC_LIMIT:
            msg = (
                f"the request to {job.endpoint} has {len(body) / 1e6:.1f} MB; Runpod takes {RUNSYNC_LIMIT // 10**6} MB."
                " Use a smaller file, or its URL"
            )
            raise Rejected(msg)
        headers = self._headers(job.headers)
        if len(body) > RUN_LIMIT:
            said = await self.client.runsync(job.endpoint, body, SHORTEST_HOLD, headers, sending)
        else:
            said = await self.client.run(job.endpoint, body, within, headers, sending)
        taken = {"status": "IN_QUEUE", **said} if isinstance(said, dict) else {}
        if taken.get("status") == "FAILED":
            self._ended(Ticket(job.endpoint, str(taken.get("id") or "that was refused")), wire.envelope(taken))
        if not taken.get("id"):
            msg = f"{job.endpoint} took the job and did not say its id, so it cannot be asked for: {wire.shown(said)}"
            raise FateUnknown(msg, keep=wire.shown(said, 1_000_000))
        return Ticket(job.endpoint, str(taken["id"]), job.stream)

    async def wait(self, ticket: Ticket, moved: Moved) -> Finished:
        """The output of a job, when it has ended. Raises what it ended with, if that is not COMPLETED."""
        if ticket.stream:
            return await self._streamed(ticket, moved)
        status = ""
        looks = self._times.looks(ticket.endpoint)
        started = anyio.current_time()
        while True:
            envelope = await self._look(ticket, started)
            if envelope.status != status:
                status = envelope.status
                moved(status, envelope.queued, envelope.ran)
            self._ended(ticket, envelope)
            if envelope.status == "COMPLETED":
                self._times.took(ticket.endpoint, anyio.current_time() - started)
                return Finished(envelope.output, wire.cost(envelope.output))
            await self._carrier.sleep(looks(anyio.current_time() - started))

    async def collect(self, job: Job, finished: Finished) -> Reply:
        """The reply of a finished job, its files in the store."""
        said = finished.output
        if job.media is None:
            return Reply(said, cost=finished.cost)
        sources = wire.media(said)
        if not sources and job.media != "any":
            msg = f"{job.endpoint} is done and its output holds no {job.media}: {wire.shown(said)}"
            raise BadReply(msg, keep=wire.shown(said, 1_000_000))
        files = []
        for source in sources:
            artifact = await self._fetch(source)
            if job.media != "any" and artifact.media == "file" and artifact.url is not None:
                # Somebody between has answered with a page: what was made may still be there.
                raise DownloadFailed(f"{source} gave {artifact.media_type} where {job.media} was expected; {_STAYS}")
            if job.media not in ("any", artifact.media):
                msg = f"{job.endpoint} gave {artifact.media_type} where {job.media} was expected: {wire.shown(source)}"
                raise BadReply(msg, keep=wire.shown(said, 1_000_000))
            files.append(artifact)
        return Reply(_without_bytes(said), tuple(files), finished.cost)

    async def chat(
        self, chat: Chat, grew: Callable[[str], None] | None = None, sending: Callable[[], None] | None = None
    ) -> Reply:
        """The answer to a chat, or that it was refused, where the chat says that it may be.

        ``sending`` is called when it is its turn. With ``grew`` it is streamed, and each piece of its text told. The
        request is another then and the answer the same, so the key does not count it.
        """
        try:
            said = await self._said(chat, grew, sending)
        except BadRequest as err:
            if not chat.may_refuse:
                raise
            return Reply(None, cost=0.0, refused=str(err))
        if not isinstance(said, dict) or not isinstance(said.get("choices"), list):
            msg = f"{chat.label} answered with something that is no chat completion: {wire.shown(said)}"
            strange = BadReply(msg, keep=wire.shown(said, 1_000_000))
            error = isinstance(said, dict) and ("error" in said or said.get("object") == "error")
            strange.final = not error  # an error may pass; who answers in another form does so every time
            raise strange
        usage = said.get("usage")
        return Reply(said, cost=_cost(chat, usage if isinstance(usage, dict) else {}, wire.cost(said)))

    async def _said(self, chat: Chat, grew: Callable[[str], None] | None, sending: Callable[[], None] | None) -> JSON:
        """The answer, streamed where that is wanted. An endpoint whose streams fail is asked for whole answers."""
        server = chat.base_url or chat.endpoint
        if grew is None or server in self._streamless:
            return await self._asked(chat, None, sending)
        try:
            return await self._asked(chat, Growth(chat.label, grew, self._idle), sending)
        except BadRequest as err:
            if "stream" not in str(err):
                raise
            self._streamless.add(server)  # it does not know the option that asks for the tokens in a stream
            return await self._asked(chat, None, sending)
        except FateUnknown:
            self._streamless.add(server)
            raise

    async def _asked(self, chat: Chat, growth: Growth | None, sending: Callable[[], None] | None) -> JSON:
        streamed = {"stream": True, "stream_options": {"include_usage": True}} if growth is not None else {}
        asked = await self._encoded(chat.body) if '"sha256":' in chat.text else chat.body
        body = json.dumps({**asked, **streamed}, ensure_ascii=False).encode()
        headers = self._headers(chat.headers)
        if chat.base_url:
            key = self._env.get(chat.api_key_env) if chat.api_key_env else None
            return await self.client.chat_at(chat.base_url, body, key, headers, growth, sending)
        return await self.client.chat(chat.endpoint, body, headers, growth, sending)

    async def cancel(self, ticket: Ticket) -> Finished | None:
        """Stop a job. Gives back its output if it had ended before."""
        said = await self.client.cancel(ticket.endpoint, ticket.job)
        if not isinstance(said, dict) or said.get("status") != "COMPLETED":
            return None
        if said.get("output") is None:  # it was faster, and only its status tells what it made
            said = await self._status(ticket)
        output = said.get("output") if isinstance(said, dict) else None
        return Finished(output, wire.cost(output)) if output is not None else None

    async def artifact(self, url: str) -> Artifact:
        """A file that an author names by its URL. The key is not sent there."""
        artifact = await self._blobs.add(self.downloader.chunks(url), url=url)
        self._named.add((artifact.sha256, url))
        return artifact

    async def _look(self, ticket: Ticket, started: float) -> wire.Envelope:
        """The job as it is: held until it ends where the endpoint can do that, at once where it cannot."""
        if self._holds.get(ticket.endpoint, True):
            try:
                said = await self.client.status_sync(ticket.endpoint, ticket.job, HOLD)
            except Rejected as err:
                if isinstance(err, NotFound) and self._holds.get(ticket.endpoint):
                    raise _expired(ticket) from None
            else:
                self._holds[ticket.endpoint] = True
                return _read(ticket, said)
        elif (first := self._times.first(ticket.endpoint)) > anyio.current_time() - started:
            await self._carrier.sleep(first - (anyio.current_time() - started))
        try:
            said = await self.client.status(ticket.endpoint, ticket.job)
        except NotFound as err:
            raise _expired(ticket) from err
        self._holds[ticket.endpoint] = False  # it knows the job and does not know the route
        return _read(ticket, said)

    def _ended(self, ticket: Ticket, envelope: wire.Envelope) -> None:
        """Raise if the job has ended badly."""
        where = f"{ticket.endpoint} (job {ticket.job})"
        match envelope.status:
            case "FAILED":
                msg = f"the job failed on {where}: {envelope.error or 'Runpod gives no reason'}"
                raise JobFailed(msg)
            case "CANCELLED":
                msg = f"the job was cancelled on {where}, not by this run"
                raise JobCancelled(msg)
            case "TIMED_OUT":
                msg = f"the job ran out of Runpod's time on {where}: no worker took it, or its worker did not report"
                raise JobTimedOut(msg)

    async def _streamed(self, ticket: Ticket, moved: Moved) -> Finished:
        """All parts of a job's output: as its end tells them, else as they were read on the way."""
        # What was read is not told again, so it is kept for another try after a broken connection.
        parts = self._parts.setdefault(ticket.job, [])
        status = ""
        while True:
            try:
                said = await self.client.stream(ticket.endpoint, ticket.job, HOLD)
            except NotFound as err:
                raise _expired(ticket) from err
            new = said if isinstance(said, list) else said.get("stream") if isinstance(said, dict) else None
            parts += [part["output"] if isinstance(part, dict) and "output" in part else part for part in new or []]
            envelope = _read(ticket, said if isinstance(said, dict) else await self._status(ticket))
            end = _read(ticket, await self._status(ticket)) if envelope.status == "COMPLETED" else envelope
            if envelope.status != status:
                status = envelope.status
                moved(status, end.queued, end.ran)
            self._ended(ticket, envelope)
            if envelope.status == "COMPLETED":
                whole = end.output
                told = not parts or (isinstance(whole, list) and len(whole) >= len(parts))
                output = whole if told else parts
                if output is None:
                    msg = (
                        f"the parts of the job {ticket.job} on {ticket.endpoint} were read before the run was cut, and "
                        "its end does not tell them again"
                    )
                    raise BadReply(msg)
                del self._parts[ticket.job]
                return Finished(output, wire.cost(whole))
            if not new:
                await self._carrier.sleep(STREAM_PAUSE)

    async def _status(self, ticket: Ticket) -> JSON:
        try:
            return await self.client.status(ticket.endpoint, ticket.job)
        except NotFound as err:
            raise _expired(ticket) from err

    def _headers(self, wanted: Mapping[str, JSON]) -> dict[str, str]:
        """An author's own headers; what stands in the environment is read here and nowhere else."""
        found: dict[str, str] = {}
        for name, value in wanted.items():
            if isinstance(value, Mapping):
                variable = str(value["env"])
                if variable not in self._env and not self._carrier.network:
                    continue  # a replay needs no secrets
                if variable not in self._env:
                    raise Rejected(f"the header {name} is to come from {variable}, which is not set; nothing was sent")
                found[name] = self._env[variable]
            else:
                found[name] = str(value)
        return found

    async def _input(self, job: Job) -> JSON:
        """The input as it goes out. Where a field has a name for bare base64, a file without a URL goes there."""
        encoded: dict[str, JSON] = {}
        for name, value in job.input.items():
            sent = await self._encoded(value)
            if name in job.raw and isinstance(sent, str) and sent.startswith("data:"):
                encoded[job.raw[name]] = sent.partition(",")[2]
            else:
                encoded[name] = sent
        return encoded

    async def _encoded(self, value: JSON) -> JSON:
        """Input with its artifacts as the URL they came from in this run, else as data URIs."""
        if isinstance(value, Artifact):
            if value.url and (value.sha256, value.url) in self._named and self._reaches(value.url):
                return value.url  # as its author wrote it
            return self._urls.get(value.sha256) or await anyio.to_thread.run_sync(_data_uri, value)
        if isinstance(value, Mapping):
            return {k: await self._encoded(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [await self._encoded(v) for v in value]
        return value

    def _reaches(self, url: str) -> bool:
        """Whether the other side can fetch it: the emulator fetches nothing from elsewhere."""
        return not self.client.local or urlsplit(url).netloc == urlsplit(self.client.base_url).netloc

    async def _fetch(self, source: str) -> Artifact:
        if not source.startswith(("http://", "https://")):
            content = wire.decode(source)
            if content is None:
                msg = f"the file in the reply cannot be decoded: {wire.shown(source)}"
                raise BadReply(msg)
            return await self._blobs.add(_once(content))
        try:
            artifact = await self._blobs.add(self.downloader.chunks(source), url=source)
        except BadReply as err:  # damaged on its way, for all that we know
            raise DownloadFailed(f"{err}; {_STAYS}") from err
        self._urls[artifact.sha256] = source
        return artifact


_STAYS = "if that stays so, --fresh with the step's name makes it anew"


def _read(ticket: Ticket, said: JSON) -> wire.Envelope:
    """The job in an answer. An answer without one is a hiccup of somebody between: the job is still there."""
    try:
        return wire.envelope(said)
    except BadReply as err:
        msg = f"the state of the job {ticket.job} on {ticket.endpoint} cannot be read: {err}"
        raise ConnectionLost(msg) from err


def _expired(ticket: Ticket) -> JobExpired:
    return JobExpired(
        f"Runpod no longer knows the job {ticket.job} on {ticket.endpoint} (404): "
        "its output is kept for 30 minutes, its place in the queue for a day"
    )


def _cost(chat: Chat, usage: Mapping[str, JSON], said: float | None) -> float | None:
    """USD of a chat: its tokens by the catalogue's price; what the server says where there is none."""
    made, sent, both = (usage.get(f"{name}_tokens") for name in ("completion", "prompt", "total"))
    price = chat.usd_per_token
    if price is None:
        return said
    if chat.usd_per_token_in is not None and isinstance(made, int) and isinstance(sent, int):
        return made * price + sent * chat.usd_per_token_in
    return both * price if isinstance(both, int) else said


def _data_uri(artifact: Artifact) -> str:
    try:
        content = Path(artifact.path).read_bytes()
    except OSError as err:
        msg = f"the file {artifact.path} cannot be read: {err.strerror}"
        raise DownloadFailed(msg) from err
    return f"data:{artifact.media_type};base64,{base64.b64encode(content).decode()}"


def _without_bytes(said: JSON) -> JSON:
    """The reply as it is kept: bytes that are in the store as files need not be there as text too."""
    if isinstance(said, str):
        return said if len(said) < 10_000 else f"({len(said)} characters)"
    if isinstance(said, list):
        return [_without_bytes(v) for v in said]
    if isinstance(said, dict):
        return {k: _without_bytes(v) for k, v in said.items()}
    return said


async def _once(content: bytes) -> AsyncGenerator[bytes, None]:
    yield content
