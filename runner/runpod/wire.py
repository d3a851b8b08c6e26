"""What Runpod's bodies mean: envelopes, errors, the media in an output. JSON in, values out; pure.

Shapes: sections 5, 6 and 10 of Runpod's own documents, as collected for this project; everything that any
source shows is understood, everything else is refused with a sentence that shows it.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..errors import BadReply
from ..model import JSON

End: TypeAlias = Literal["COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"]
ENDS = ("COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT")
OPEN = ("IN_QUEUE", "IN_PROGRESS", "RUNNING")

_MEDIA_KEYS = ("result", "image_url", "video_url", "audio_url", "url", "image", "images", "video", "audio", "data",
               "message", "output", "files")  # fmt: skip
_SHORTEST_BASE64 = 64


@dataclass(frozen=True, slots=True)
class Envelope:
    """A job as Runpod tells it. ``status`` is one of `ENDS`, or a state in which it goes on."""

    job: str
    status: str
    output: JSON = None
    error: str = ""
    queued: float | None = None
    """Seconds for which it waited for a worker."""
    ran: float | None = None
    """Seconds for which a worker had it."""


def parsed(content: bytes) -> JSON:
    """The JSON of a body. ValueError if it is none; halves of characters, which no file can hold, become U+FFFD."""
    body = json.loads(content)
    if b"\\ud" in content or b"\\uD" in content:
        whole = json.dumps(body, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        body = json.loads(whole)
    return body


def envelope(body: JSON) -> Envelope:
    """The job in a body. `BadReply` if there is none."""
    if not isinstance(body, dict) or not isinstance(body.get("status"), str):
        msg = f"Runpod answered with something that is no job: {shown(body)}"
        raise BadReply(msg, keep=shown(body, 100_000))
    said = str(body["status"]).upper()
    status = {"ERROR": "FAILED", "RUNNING": "IN_PROGRESS"}.get(said, said)
    error = error_text(body) if status == "FAILED" else ""
    queued, ran = _seconds(body.get("delayTime")), _seconds(body.get("executionTime"))
    return Envelope(str(body.get("id") or ""), status, body.get("output"), error, queued, ran)


def _seconds(milliseconds: JSON) -> float | None:
    """A time as Runpod tells it, in seconds; None where that is no time."""
    if not isinstance(milliseconds, int | float) or isinstance(milliseconds, bool):
        return None
    return milliseconds / 1000 if 0 <= milliseconds < math.inf else None


def error_text(body: JSON) -> str:
    """The sentence in an error body, whatever form it has: text, JSON in text, an object, OpenAI's, vLLM's."""
    if not isinstance(body, dict):
        return shown(body) if body else ""
    error = body.get("error")
    if isinstance(error, dict):
        error = error.get("message") or error.get("error_message") or shown(error)
    message = body.get("message")
    text = error if isinstance(error, str) and error else message if isinstance(message, str) else ""
    if not text and isinstance(body.get("output"), dict):
        return error_text({k: v for k, v in body["output"].items() if k in ("error", "message")})
    return _inner(text.strip())


def _inner(text: str) -> str:
    """Worker errors are often JSON in text; the sentence is inside, the traceback is nobody's business."""
    start = text.find("{")
    if start >= 0:
        try:
            found = json.loads(text[start:])
        except ValueError:
            found = None
        if isinstance(found, dict):
            for key in ("error_message", "message"):
                if isinstance(found.get(key), str) and found[key]:
                    before = text[:start].strip(" :,-")
                    return f"{before}: {found[key]}" if before else str(found[key])
    return text.split("\ntraceback:", maxsplit=1)[0].removeprefix("handler: ").strip()


_MOST_BILLED = 1e6
"""USD that no job costs: who says more says nothing."""


def cost(output: JSON) -> float | None:
    """What the job was billed in USD, where it says so."""
    if isinstance(output, list) and output:
        output = output[0]
    found = output.get("cost") if isinstance(output, dict) else None
    if not isinstance(found, int | float) or isinstance(found, bool):
        return None
    return float(found) if 0 <= found <= _MOST_BILLED else None


def media(output: JSON) -> list[str]:
    """The files of an output, in order: URLs, data URIs, or base64 as it came."""
    if isinstance(output, str):
        return [output] if _is_media(output) else []
    if isinstance(output, list):
        return [found for item in output for found in media(item)]
    if isinstance(output, dict):
        for key in _MEDIA_KEYS:
            if found := media(output.get(key)):
                return found
    return []


def _is_media(text: str) -> bool:
    return text.startswith(("http://", "https://", "data:")) or (
        len(text) >= _SHORTEST_BASE64 and not text.isspace() and decode(text) is not None
    )


def decode(text: str) -> bytes | None:
    """The bytes of a data URI or of bare base64; None if the text is neither."""
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            return None
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def shown(body: JSON, most: int = 300) -> str:
    """A body for a message: cut, because it may be a picture."""
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, default=str)
    return text if len(text) <= most else text[: most - 1] + "…"
