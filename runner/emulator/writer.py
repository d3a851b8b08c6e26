"""Texts by a real language model on this machine: a chat request in, its text out as it is written.

The model lives in a process of its own, `llama.py`, which starts when the first text is asked for and ends with the
emulator. The same request gives the same text.
"""

import asyncio
import contextlib
import json
import secrets
import subprocess
import sys
import zlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Literal

import httpx2 as httpx

from .bounded import bounded
from .jobs import RefusedError
from .texts import Reply, said, wanted
from .values import JSON

_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "stop")
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
LLAMA = Path(__file__).with_name("llama.py")
"""The program that is the model's process."""
_LONGEST = 512  # tokens, where the request says nothing


class DiedError(Exception):
    """The model's process has ended, with a sentence about it."""


class Writer:
    """A model at work: it reads text and writes text, one at a time. `close` ends it."""

    def __init__(self, weights: Path, program: Path = LLAMA) -> None:
        """Starts nothing yet."""
        self._weights = weights
        self._program = program
        self._process: subprocess.Popen[str] | None = None
        self._client: httpx.AsyncClient | None = None
        self._starting = asyncio.Lock()

    @staticmethod
    def takes(body: dict[str, JSON]) -> bool:
        """Whether it can do this: no tools, no pictures, one answer. The rest is for the emulator's own chat."""
        messages = body["messages"]
        parts = [part for m in messages if isinstance(m.get("content"), list) for part in m["content"]]
        plain = all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in parts)
        tools = body.get("tools") or any(m["role"] not in _ROLES or m.get("tool_calls") for m in messages)
        return plain and not tools and (body.get("n") or 1) == 1

    async def writes(self, body: dict[str, JSON]) -> AsyncGenerator[str | Reply, None]:
        """The text in pieces, then the whole of it. RefusedError for what it cannot read; DiedError."""
        client = await self._started()
        text, finish, usage = "", "stop", dict[str, int]()
        try:
            async with client.stream("POST", "/v1/chat/completions", json=_request(body)) as response:
                if response.status_code != 200:
                    raise RefusedError(_why(await response.aread()))
                async for line in response.aiter_lines():
                    chunk = _chunk(line)
                    usage = chunk.get("usage") or usage
                    for choice in chunk.get("choices", ()):
                        finish = choice.get("finish_reason") or finish
                        if piece := choice.get("delta", {}).get("content"):
                            text += piece
                            yield piece
        except httpx.HTTPError as err:
            raise DiedError(f"the model stopped in the middle of a text: {err or type(err).__name__}") from err
        ended: Literal["stop", "length"] = "length" if finish == "length" else "stop"
        yield Reply(text, ended, usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0))

    async def close(self) -> None:
        """Ends the process; what it was writing is lost."""
        async with self._starting:
            await self._ended()

    async def _ended(self) -> None:
        if self._client is not None:
            await self._client.aclose()
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.communicate)
        self._client = self._process = None

    async def _started(self) -> httpx.AsyncClient:
        async with self._starting:
            if self._client is not None and self._process is not None and self._process.poll() is None:
                return self._client
            await self._ended()
            key = secrets.token_hex()
            starting = asyncio.create_task(asyncio.to_thread(self._starts, key))
            try:
                address = await asyncio.shield(starting)
            except asyncio.CancelledError:
                await asyncio.wait([starting])  # or nobody would know the process
                raise
            self._client = httpx.AsyncClient(
                base_url=address,
                # A connection for each text, as the server hangs up on idle ones when it likes; one at a time.
                headers={"Authorization": f"Bearer {key}", "Connection": "close"},
                limits=httpx.Limits(max_connections=1, max_keepalive_connections=0),
                timeout=None,  # who asks has a patience of their own
                trust_env=False,
            )
            return self._client

    def _starts(self, key: str) -> str:
        """The address of the model, once it is loaded. It hears no Ctrl-C, and ends when its stdin does."""
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-P", str(self._program), str(self._weights)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{key}\n")
            self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("http://"):
                return line.strip()
        code = self._process.wait()
        raise DiedError(f"the model could not be loaded from {self._weights}; its process ended with {code}")


def _request(body: dict[str, JSON]) -> dict[str, Any]:
    """What it is asked: sampling as llama.cpp names it, a seed of the request's own, a grammar where JSON is wanted."""
    messages = [{"role": _ROLES[m["role"]], "content": said(m)} for m in body["messages"]]
    sampling = {name: body[name] for name in _SAMPLING if body.get(name) is not None}
    schema = wanted(body)
    form = {"type": "json_schema", "json_schema": {"schema": bounded(schema)}} if schema is not None else None
    # Left to itself it repeats itself: words in prose; in JSON sequences, for it needs its quotes and names again.
    varied = (
        {"repeat_penalty": 1.05, "dry_multiplier": 0.8, "dry_allowed_length": 3} if form else {"repeat_penalty": 1.1}
    )
    if body.get("repetition_penalty"):
        varied["repeat_penalty"] = body["repetition_penalty"]
    seed = body.get("seed")
    return {
        "temperature": 0.2,
        "top_p": 0.9,
        **sampling,
        "messages": messages,
        "seed": zlib.crc32(json.dumps(messages).encode()) >> 1 if seed is None else abs(seed) % (2**32 - 1),
        "max_tokens": body.get("max_completion_tokens") or body.get("max_tokens") or _LONGEST,
        **varied,
        "cache_prompt": False,  # what was read before must not show in what is written now
        "stream": True,
        "stream_options": {"include_usage": True},
        **({"response_format": form} if form else {}),
    }


def _chunk(line: str) -> dict[str, Any]:
    """An event of the stream; nothing for its end and for the blanks between."""
    data = line.removeprefix("data: ")
    if data in {line, "[DONE]"}:
        return {}
    chunk: dict[str, Any] = json.loads(data)
    if "error" in chunk:
        raise RefusedError(str(chunk["error"].get("message")))
    return chunk


def _why(said: bytes) -> str:
    try:
        return str(json.loads(said)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return said.decode(errors="replace")[:200]
