"""The server: options in, a running Runpod at `url` out, for as long as a `with` block lasts."""

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from time import monotonic
from types import FrameType, TracebackType
from typing import Literal, Self

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from .endpoints import Endpoint
from .envelopes import envelope
from .faults import Fault, Script
from .jobs import Job, Queue, Retention
from .latency import Latency
from .limits import DOCUMENTED, Limiter
from .log import Log, Request
from .routes import Manners, Service
from .shelf import Shelf
from .webhooks import Delivery, Webhooks
from .work import Fetch, Studio
from .workers import Workers
from .writer import LLAMA, Writer

Latencies = Latency | Mapping[str, Latency]
Played = int | Mapping[str, int] | None

_SILENT = logging.getLogger("runner.emulator.silent")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


class Emulator:
    """A Runpod on a loopback port, in its own thread and event loop.

    Use it from any thread and any async library: `with Emulator() as emulator: ... emulator.url`.
    A taken port raises OSError where the block is entered. It can be entered once.
    """

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint] | None = None,
        *,
        latency: Latencies = Latency(),  # noqa: B008 - frozen
        faults: Iterable[Fault | str] = (),
        workers: Played = None,
        served: Collection[str] = (),
        keys: Collection[str] | None = None,
        long_polling: bool = True,
        failures: Literal["envelope", "http400"] = "envelope",
        streams: Literal["object", "array"] = "object",
        limits: Literal["none", "documented"] = "none",
        webhook_pause: float = 10.0,
        worker_patience: float = 30.0,
        retention: Retention = Retention(),  # noqa: B008 - frozen
        fetch: Fetch | None = None,
        weights: Path | None = None,
        model: Path = LLAMA,
        media_room: int = 512 * 2**20,
        history: int = 10_000,
        seed: int | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Listens to nothing yet. `seed` makes latencies, job ids and random seeds repeat.

        `limits` turns the documented rate limits on; they are off because what a public endpoint really allows
        grows with workers that nobody outside can count. `webhook_pause` is the seconds between two attempts.

        `workers` is how many the emulator plays; the endpoints of `served` have real ones, and their jobs wait for
        them. So do those of any endpoint that a worker has asked for work. A worker that pings and then leaves a job
        out of its pings for `worker_patience` seconds has lost it.

        `weights` are those of a language model, a GGUF file: chats are then written by it, one at a time, in a process
        that starts with the first of them and runs the program `model`; ours needs `xllamacpp`. What it cannot do,
        tools, pictures, several answers, faults on demand and texts as jobs, stays with the emulator.
        """
        self.latency: Latencies = latency
        self._random = Random(seed)
        self._script = Script(faults)
        self._log = Log(history)
        self._address = (host, port)
        self._workers = workers
        painters = ThreadPoolExecutor(max(2, min(4, os.cpu_count() or 1)), "emulator-painter")
        shelf = Shelf(room=media_room, seconds=retention.media, clock=monotonic)
        self._studio = Studio(endpoints, shelf, painters, fetch)
        self._webhooks = Webhooks(pause=webhook_pause, history=history)
        self._queue = Queue(
            work=self._studio.works,
            workers=self._workers_of,
            retention=retention,
            random=self._random,
            history=history,
            ended=self._calls_back,
        )
        writer = None if weights is None else Writer(weights, model)
        outside = Workers(self._queue, served, patience=worker_patience)
        self._service = Service(
            queue=self._queue,
            studio=self._studio,
            script=self._script,
            log=self._log,
            manners=Manners(keys, long_polling, failures, streams),
            limiter=Limiter(DOCUMENTED if limits == "documented" else {}, monotonic),
            workers=outside,
            latency=self._drawn,
            writer=writer,
        )
        self._writer = writer
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._halt: asyncio.Event | None = None

    def __enter__(self) -> Self:
        """Binds the port in this thread, so that its error is raised here, then serves in another."""
        listener = socket.create_server(self._address, backlog=2048)
        host, port = listener.getsockname()[:2]
        self._studio.origin = f"http://{host}:{port}"
        up = threading.Event()
        self._thread = threading.Thread(target=self._serves, args=(listener, up), name="emulator", daemon=True)
        self._thread.start()
        up.wait()
        if self._halt is None:
            raise RuntimeError("the emulator could not start; its thread said why")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hangs up on everybody and is gone when it returns."""
        if self._loop is not None and self._halt is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._halt.set)
            self._thread.join()
        self._studio.painters.shutdown(wait=True, cancel_futures=True)

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:54321`, known once the block is entered."""
        if not self._studio.origin:
            raise RuntimeError("the emulator has no address yet; enter it with `with Emulator() as emulator:`")
        return self._studio.origin

    @property
    def url(self) -> str:
        """The base that stands for https://api.runpod.ai/v2."""
        return f"{self.origin}/v2"

    def fail(self, fault: Fault | str) -> None:
        """One more fault from here on; any thread may say so."""
        self._script.add(fault)

    def heal(self) -> None:
        """Forgets all faults that have not struck yet."""
        self._script.clear()

    def count(self, operation: str, endpoint: str | None = None) -> int:
        """How many requests asked for the operation, refused ones included."""
        return sum(
            request.operation == operation and (endpoint is None or request.endpoint == endpoint)
            for request in self.requests
        )

    @property
    def requests(self) -> tuple[Request, ...]:
        """Every request so far, in order of arrival."""
        return self._log.requests

    @property
    def leaks(self) -> tuple[Request, ...]:
        """Requests for media that carried a key, which belongs nowhere but to the API."""
        return tuple(request for request in self.requests if request.operation == "media" and request.has_key)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Every job so far, in order of arrival, those that are gone included."""
        return self._queue.jobs

    @property
    def webhooks(self) -> tuple[Delivery, ...]:
        """Every attempt to deliver a webhook, in order."""
        return tuple(self._webhooks.deliveries)

    @property
    def paid(self) -> int:
        """Jobs that ended COMPLETED and chats that were answered."""
        return self._queue.paid

    @property
    def peak(self) -> int:
        """The most jobs and chats there ever were at once."""
        return self._queue.peak

    def _calls_back(self, job: Job) -> None:
        if job.webhook is not None:
            self._webhooks.post(job.id, job.webhook, envelope(job))

    def _drawn(self, endpoint: str) -> tuple[float, float]:
        held = self.latency
        chosen = held if isinstance(held, Latency) else held.get(endpoint, Latency())
        return chosen.draw(self._random)

    def _workers_of(self, endpoint: str) -> int | None:
        held = self._workers
        return held.get(endpoint) if isinstance(held, Mapping) else held

    def _serves(self, listener: socket.socket, up: threading.Event) -> None:
        try:
            asyncio.run(self._served(listener, up))
        finally:
            up.set()

    async def _served(self, listener: socket.socket, up: threading.Event) -> None:
        loop, halt = asyncio.get_running_loop(), asyncio.Event()
        config = Config(
            self._service.app(), http=_Protocol, ws="none", lifespan="off", log_config=None, timeout_keep_alive=75
        )
        config.load()
        state = ServerState()
        server = await loop.create_server(lambda: _Protocol(config, state, {}), sock=listener)
        self._loop, self._halt = loop, halt
        up.set()
        await halt.wait()
        server.close()
        # Nobody is asked to finish: hanging requests and open long polls are what tests leave behind.
        for protocol in tuple(state.connections):
            protocol.transport.abort()
        for task in tuple(state.tasks):
            task.cancel()
        await asyncio.gather(*state.tasks, self._queue.close(), self._webhooks.close(), return_exceptions=True)
        if self._writer is not None:
            await self._writer.close()


class _Protocol(H11Protocol):
    """uvicorn's protocol, silent, with the connection within reach of those who must break it."""

    def __init__(self, config: Config, state: ServerState, app_state: dict[str, object]) -> None:
        super().__init__(config, state, app_state)
        self.logger = _SILENT
        self.access_log = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Hands the transport to the application: `request.state.transport`."""
        self.app_state = {"transport": transport}
        # asyncio forgets this for sockets that it did not make itself; Nagle would cost 40 ms an answer.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)


def serve_forever(emulator: Emulator, *, ready: Callable[[str], None]) -> None:
    """Serves until SIGINT or SIGTERM, then returns; `ready` gets the url. For the main thread only."""
    wake, woken = os.pipe()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        os.write(woken, b".")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with emulator:
            ready(emulator.url)
            os.read(wake, 1)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(wake)
        os.close(woken)
