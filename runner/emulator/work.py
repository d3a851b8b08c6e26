"""The work of endpoints: the input of a job in, its output out, or RefusedError with a sentence.

A new kind of endpoint is one more entry of `WORK`.
"""

import asyncio
import re
from base64 import b64decode
from binascii import Error as BadBase64
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from io import BytesIO
from urllib.parse import urlsplit

from PIL import Image, ImageOps, UnidentifiedImageError

from .edits import edited
from .endpoints import Endpoint, Kind
from .envelopes import Made, failure, shaped
from .jobs import Job, RefusedError
from .pictures import MEDIA_TYPES, described, encoded, picture
from .shelf import Shelf
from .texts import Reply, reply
from .values import JSON

Fetch = Callable[[str], bytes]
_SIZE = re.compile(r"(\d{1,5})\s*[*xX]\s*(\d{1,5})")
_RATIO = re.compile(r"(\d{1,2}):(\d{1,2})")
_LARGEST = 4096


@dataclass(slots=True)
class Studio:
    """What work needs from its surroundings: the table, the shelf, threads to paint in, a way to fetch."""

    endpoints: Mapping[str, Endpoint] | None
    shelf: Shelf
    painters: Executor
    fetch: Fetch | None
    origin: str = ""

    def endpoint(self, slug: str, given: Mapping[str, JSON]) -> Endpoint:
        """The row of the table, or without one a guess from the input."""
        if self.endpoints is not None:
            return self.endpoints[slug]
        if "image" in given or "images" in given:
            return Endpoint("edit")
        if "messages" in given or "sampling_params" in given or "max_tokens" in given:
            return Endpoint("text")
        return Endpoint("image" if "prompt" in given else "echo")

    async def works(self, job: Job) -> JSON:
        """The output of a job."""
        if job.fault is not None and job.fault.startswith("error:"):
            raise RefusedError(failure(job.fault))
        endpoint = self.endpoint(job.endpoint, job.input)
        return await WORK[endpoint.kind](self, job, endpoint)

    async def paints(self, job: Job, endpoint: Endpoint, image: Callable[[], Image.Image]) -> JSON:
        """Draws and packs in a thread, puts the file on the shelf, says where it is."""
        form = _form(job.input)

        def paint() -> tuple[bytes, tuple[int, int]]:
            drawn = image()
            return encoded(drawn, form, _about(job.input)), drawn.size

        data, size = await asyncio.get_running_loop().run_in_executor(self.painters, paint)
        name = f"{job.id}.{'jpg' if form == 'jpeg' else form}"
        self.shelf.put(name, data, MEDIA_TYPES[form], endpoint=job.endpoint)
        url = f"{self.origin}/media/{name}"
        made = Made(data, MEDIA_TYPES[form], url, _seed(job), endpoint.picture_cost(*size))
        return shaped(made, job.fault)

    def opened(self, source: object) -> Image.Image:
        """A picture from a data URI, raw base64 or an address; its own media never touch the network."""
        return _decoded(self._read(source))

    def seen(self, source: object) -> str:
        """What a picture shows, in words: its format, its size, and its prompt if it was made here."""
        data = self._read(source)
        _decoded(data)
        with Image.open(BytesIO(data)) as image:
            about = described(image)
            what = f"a picture of {image.width} by {image.height} pixels ({image.format})"
        return f"{what} that shows “{about}”" if about else what

    def _read(self, source: object) -> bytes:
        if not isinstance(source, str) or not source:
            raise RefusedError("Invalid parameter: image must be a URL, a data URI or base64 text")
        if re.match(r"https?://", source, re.IGNORECASE):
            return self._fetched(source)
        try:
            return b64decode(source.partition(",")[2] if source.startswith("data:") else source, validate=True)
        except (BadBase64, ValueError):
            raise RefusedError("Invalid parameter: image is neither a URL nor valid base64 data") from None

    def _fetched(self, url: str) -> bytes:
        parts = urlsplit(url)
        if f"{parts.scheme}://{parts.netloc}" == self.origin and parts.path.startswith("/media/"):
            media = self.shelf.get(parts.path.removeprefix("/media/"))
            if media is None:
                raise RefusedError(f"Failed to download image: {url} has expired")
            return media.data
        if self.fetch is None:
            raise RefusedError(f"Failed to download image: the emulator fetches nothing from elsewhere, so not {url}")
        try:
            return self.fetch(url)
        except Exception as err:
            raise RefusedError(f"Failed to download image: {url}: {err}") from err


async def _echoes(_: Studio, job: Job, __: Endpoint) -> JSON:
    return {"echo": job.input}


async def _draws(studio: Studio, job: Job, endpoint: Endpoint) -> JSON:
    prompt = _prompt(job.input)
    size = _size(job.input) or (1024, 1024)
    return await studio.paints(
        job, endpoint, lambda: picture(prompt, size=size, seed=_seed(job), signature=job.endpoint)
    )


async def _edits(studio: Studio, job: Job, endpoint: Endpoint) -> JSON:
    prompt = _prompt(job.input)
    size = _size(job.input)
    given = job.input.get("images") or job.input.get("image")
    sources = given if isinstance(given, list) else [given]
    if not sources or given is None:
        raise RefusedError("Invalid parameter: image is required")

    def paint() -> Image.Image:
        opened = [studio.opened(source) for source in sources]
        return edited(opened, prompt, size=size, seed=_seed(job), signature=job.endpoint)

    return await studio.paints(job, endpoint, paint)


async def _writes(_: Studio, job: Job, endpoint: Endpoint) -> JSON:
    answer = native(job.input, endpoint)
    cost = endpoint.text_cost(answer.prompt_tokens + answer.completion_tokens)
    said: dict[str, JSON] = {
        "choices": [{"tokens": [answer.content]}],
        "usage": {"input": answer.prompt_tokens, "output": answer.completion_tokens},
    }
    return [said if cost is None else {**said, "cost": cost}]


def native(given: dict[str, JSON], endpoint: Endpoint) -> Reply:
    """The answer to the input of a text endpoint: a flat prompt or messages, sampling nested or not."""
    if isinstance(given.get("openai_input"), dict):
        return reply(given["openai_input"], think=endpoint.think)
    sampling = given.get("sampling_params")
    request = {"max_tokens": 512, **given, **(sampling if isinstance(sampling, dict) else {})}
    if not isinstance(request.get("messages"), list):
        request["messages"] = [{"role": "user", "content": _prompt(given)}]
    return reply(request, think=endpoint.think)


WORK: dict[Kind, Callable[[Studio, Job, Endpoint], Awaitable[JSON]]] = {
    "text": _writes,
    "image": _draws,
    "edit": _edits,
    "echo": _echoes,
}


def _prompt(given: Mapping[str, JSON]) -> str:
    prompt = given.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise RefusedError("Invalid parameter: prompt is required")
    return prompt


def _about(given: Mapping[str, JSON]) -> str:
    prompt = given.get("prompt")
    return prompt if isinstance(prompt, str) else ""


def _seed(job: Job) -> int:
    seed = job.input.get("seed")
    return seed if isinstance(seed, int) and seed >= 0 else job.seed


def _form(given: Mapping[str, JSON]) -> str:
    form = given.get("image_format") or given.get("output_format") or "jpeg"
    form = "jpeg" if form == "jpg" else form
    if form not in MEDIA_TYPES:
        raise RefusedError(f"Invalid parameter: output_format must be one of png, jpeg, webp, not {form!r}")
    return str(form)


def _size(given: Mapping[str, JSON]) -> tuple[int, int] | None:
    """Width and height, a size, or a ratio of about one megapixel, in this order."""
    width, height, size, ratio = (given.get(key) for key in ("width", "height", "size", "aspect_ratio"))
    if width is not None or height is not None:
        return _checked(width if width is not None else 1024, height if height is not None else 1024)
    if size is not None:
        found = _SIZE.fullmatch(str(size).strip())
        if found is None:
            raise RefusedError(f"Invalid parameter: size must be in the format WIDTH*HEIGHT, not {size!r}")
        return _checked(int(found[1]), int(found[2]))
    if ratio is None or ratio in {"match_input_image", "custom", "auto"}:
        return None
    found = _RATIO.fullmatch(str(ratio).strip())
    if found is None or "0" in {found[1], found[2]}:
        raise RefusedError(f"Invalid parameter: aspect_ratio must look like 16:9, not {ratio!r}")
    wide = (int(found[1]) / int(found[2])) ** 0.5
    return _checked(max(16, round(1024 * wide / 16) * 16), max(16, round(1024 / wide / 16) * 16))


def _checked(width: object, height: object) -> tuple[int, int]:
    return _pixels("width", width), _pixels("height", height)


def _pixels(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _LARGEST:
        raise RefusedError(f"Invalid parameter: {name} must be an integer from 1 to {_LARGEST}, not {value!r}")
    return value


def _decoded(data: bytes) -> Image.Image:
    try:
        with Image.open(BytesIO(data)) as image:
            if image.width * image.height > _LARGEST**2:
                raise RefusedError(f"Invalid parameter: image is larger than {_LARGEST}x{_LARGEST} pixels")
            return ImageOps.exif_transpose(image).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise RefusedError("Invalid parameter: image cannot be decoded, it is no picture or a damaged one") from None
