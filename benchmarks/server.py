"""A server that answers faster than any client here can ask: ``python -m benchmarks.server [SECONDS [BYTES]]``.

Its base URL is on stdout. It speaks just enough HTTP and just enough of Runpod: a chat is answered at once; a job
takes that many seconds (none) and has a picture of that many bytes (one megabyte), whatever its endpoint is.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
import sys
import time
import zlib

CHAT = json.dumps(
    {
        "id": "c",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    }
).encode()


def picture(number: int, size: int) -> bytes:
    """A real PNG of about ``size`` bytes, another for each number: one stored, uncompressed image."""
    side = int((size / 3) ** 0.5)
    row = b"\0" + bytes((number * 7 + i) % 256 for i in range(3 * side))
    body = zlib.compress(row * side, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


class Answering(asyncio.Protocol):
    """One connection. Requests may come in pieces and one after the other."""

    def __init__(self, seconds: float, size: int) -> None:
        self.seconds, self.size = seconds, size
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            found = re.search(rb"(?i)content-length: *(\d+)", head)
            total = end + 4 + (int(found[1]) if found else 0)
            if len(self.buffer) < total:
                return
            self.buffer = self.buffer[total:]
            self.answer(head.split(b" ", 2)[1].decode())

    def answer(self, path: str) -> None:
        if path.endswith("/chat/completions"):
            self.send(CHAT)
        elif path.startswith("/media/"):
            self.send(picture(int(path.rpartition("/")[2]), self.size), b"image/png")
        elif path.endswith("/run"):
            job = f"{time.monotonic() + self.seconds}-{next_number()}"
            self.send(json.dumps({"id": job, "status": "IN_QUEUE"}).encode())
        else:
            self.status(path)

    def status(self, path: str) -> None:
        """``/v2/ENDPOINT/status/ID`` at once, ``/v2/ENDPOINT/status-sync/ID`` when the job has ended."""
        job = path.split("/")[4].partition("?")[0]
        ends, _, number = job.partition("-")
        left = float(ends) - time.monotonic()
        if "/status-sync/" in path and left > 0:
            asyncio.get_running_loop().call_later(left, self.status, path)
            return
        host, port = self.transport.get_extra_info("sockname")[:2]
        output = {"image_url": f"http://{host}:{port}/media/{number}", "cost": 0.001}
        done = {"id": job, "status": "COMPLETED", "output": output}
        self.send(json.dumps(done if left <= 0 else {"id": job, "status": "IN_PROGRESS"}).encode())

    def send(self, body: bytes, kind: bytes = b"application/json") -> None:
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (kind, len(body))
            )
            self.transport.write(body)


_numbers = iter(range(10**9))


def next_number() -> int:
    return next(_numbers)


async def main(seconds: str = "0", size: str = "1_000_000") -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(float(seconds), int(size)), "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v2", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(0)
