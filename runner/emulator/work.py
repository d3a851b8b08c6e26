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

from . import mp4
from .edits import edited
from .endpoints import Endpoint, Kind, public
from .envelopes import Made, failure, shaped
from .films import always_seen, canvas, film
from .jobs import Job, RefusedError
from .pictures import MEDIA_TYPES, captioned, described, encoded, picture
from .shelf import Shelf
from .sizes import LARGEST, picture_size, resolution, video_size
from .speech import spoken
from .texts import Reply, reply
from .transcripts import heard, transcript
from .values import JSON

Fetch = Callable[[str], bytes]
_LONGEST = 300.0  # seconds of a video
_FASTEST = 60  # frames a second


@dataclass(frozen=True, slots=True)
class Order:
    """A job as its worker sees it: what was sent, and the server's defaults for what was not."""

    job: Job
    endpoint: Endpoint
    given: Mapping[str, JSON]

    @property
    def prompt(self) -> str:
        """What is asked for in words."""
        return _prompt(self.given)

    @property
    def seed(self) -> int:
        """The one that was sent, or one of the job's own for -1 and for none."""
        seed = self.given.get("seed")
        return seed if isinstance(seed, int) and seed >= 0 else self.job.seed

    @property
    def sources(self) -> list[JSON]:
        """The pictures that were sent, one or many."""
        given = self.given.get("images") or self.given.get("image")
        return given if isinstance(given, list) else [] if given is None else [given]


@dataclass(slots=True)
class Studio:
    """What work needs from its surroundings: the table, the shelf, threads to paint in, a way to fetch."""

    endpoints: Mapping[str, Endpoint] | None
    shelf: Shelf
    painters: Executor
    fetch: Fetch | None
    origin: str = ""

    def endpoint(self, slug: str, given: Mapping[str, JSON]) -> Endpoint:
        """The row of the table and what is known of the public endpoint; without either a guess from the input."""
        known = public().get(slug)
        if self.endpoints is not None:
            row = self.endpoints[slug]
            return row if known is None or row.kind != known.kind else row.completed(known)
        return known or Endpoint(_guess(given))

    async def works(self, job: Job) -> JSON:
        """The output of a job."""
        if job.fault is not None and job.fault.startswith("error:"):
            raise RefusedError(failure(job.fault))
        endpoint = self.endpoint(job.endpoint, job.input)
        wrong = None if "openai_input" in job.input else endpoint.refusal(job.input)
        if wrong is not None:
            raise RefusedError(f"Invalid parameter: {wrong}")
        return await WORK[endpoint.kind](self, Order(job, endpoint, endpoint.understood(job.input)))

    async def makes(self, make: Callable[[], bytes]) -> bytes:
        """Runs in one of the threads that may be busy for a while."""
        return await asyncio.get_running_loop().run_in_executor(self.painters, make)

    def shelved(self, order: Order, data: bytes, media_type: str, suffix: str, cost: float | None) -> JSON:
        """Puts the file on the shelf and says where it is, under the key that such files have."""
        name = f"{order.job.id}.{suffix}"
        self.shelf.put(name, data, media_type, endpoint=order.job.endpoint)
        made = Made(data, media_type, f"{self.origin}/media/{name}", order.seed, cost)
        inline = order.given.get("enable_base64_output") is True and order.job.fault is None
        return shaped(made, "base64" if inline else order.job.fault)

    async def paints(self, order: Order, image: Callable[[], Image.Image]) -> JSON:
        """Draws and packs a picture."""
        form = _form(order.given)
        about = order.prompt

        def paint() -> tuple[bytes, int]:
            drawn = image()
            return encoded(drawn, form, about), drawn.width * drawn.height

        data, pixels = await asyncio.get_running_loop().run_in_executor(self.painters, paint)
        cost = order.endpoint.cost(str(order.given.get("resolution", "")), pixels=pixels)
        return self.shelved(order, data, MEDIA_TYPES[form], "jpg" if form == "jpeg" else form, cost)

    def opened(self, source: object) -> Image.Image:
        """A picture from a data URI, raw base64 or an address; its own media never touch the network."""
        return _decoded(self.read(source, "image"))

    def seen(self, source: object) -> str:
        """What a picture shows, in words: its format, its size, and its prompt if it was made here."""
        data = self.read(source, "image")
        _decoded(data)
        with Image.open(BytesIO(data)) as image:
            about = described(image)
            what = f"a picture of {image.width} by {image.height} pixels ({image.format})"
        return f"{what} that shows “{about}”" if about else what

    def read(self, source: object, what: str) -> bytes:
        """The bytes of a file that an input names or holds; `what` is the name of the parameter."""
        if not isinstance(source, str) or not source:
            raise RefusedError(f"Invalid parameter: {what} must be a URL, a data URI or base64 text")
        if re.match(r"https?://", source, re.IGNORECASE):
            return self._fetched(source, what)
        try:
            return b64decode(source.partition(",")[2] if source.startswith("data:") else source, validate=True)
        except (BadBase64, ValueError):
            raise RefusedError(f"Invalid parameter: {what} is neither a URL nor valid base64 data") from None

    def _fetched(self, url: str, what: str) -> bytes:
        try:
            parts = urlsplit(url)
        except ValueError as err:
            raise RefusedError(f"Failed to download {what}: {url} is no address") from err
        if f"{parts.scheme}://{parts.netloc}" == self.origin and parts.path.startswith("/media/"):
            media = self.shelf.get(parts.path.removeprefix("/media/"))
            if media is None:
                raise RefusedError(f"Failed to download {what}: {url} has expired")
            return media.data
        if self.fetch is None:
            raise RefusedError(f"Failed to download {what}: the emulator fetches nothing from elsewhere, so not {url}")
        try:
            return self.fetch(url)
        except Exception as err:
            raise RefusedError(f"Failed to download {what}: {url}: {err}") from err


async def _echoes(_: Studio, order: Order) -> JSON:
    return {"echo": order.job.input}


async def _draws(studio: Studio, order: Order) -> JSON:
    if order.sources and order.endpoint.inputs.keys() & {"image", "images"}:
        return await _edits(studio, order)
    prompt, signature = order.prompt, order.job.endpoint
    size = picture_size(order.given) or (1024, 1024)
    return await studio.paints(order, lambda: picture(prompt, size=size, seed=order.seed, signature=signature))


async def _edits(studio: Studio, order: Order) -> JSON:
    prompt = order.prompt
    if not order.sources:
        raise RefusedError("Invalid parameter: image is required")

    def paint() -> Image.Image:
        opened = [studio.opened(source) for source in order.sources]
        size = picture_size(order.given, opened[0].size)
        return edited(opened, prompt, size=size, seed=order.seed, signature=order.job.endpoint)

    return await studio.paints(order, paint)


async def _speaks(studio: Studio, order: Order) -> JSON:
    text, given = order.prompt, order.given
    voice = next((str(given[key]) for key in ("voice_url", "voice", "voice_id") if given.get(key)), "lucy")
    if (form := given.get("format", "wav")) != "wav":
        raise RefusedError(f"the emulator speaks WAV only, so not {form}; leave format out, or run it on Runpod")
    speed, pitch = (_number(given, name, usual) for name, usual in (("speed", 1.0), ("pitch", 0.0)))
    data = await studio.makes(lambda: spoken(text, voice, speed=speed, semitones=pitch))
    cost = order.endpoint.cost(seconds=heard(data)[1], characters=len(text))
    return studio.shelved(order, data, "audio/wav", "wav", cost)


async def _transcribes(studio: Studio, order: Order) -> JSON:
    given = order.given
    name = "audio" if given.get("audio") else "audio_base64"
    if not given.get(name):
        raise RefusedError("Invalid parameter: audio is required, as a URL, or audio_base64")
    data = studio.read(given[name], name)
    language = given.get("language")
    try:
        said = transcript(
            data,
            language=language if isinstance(language, str) and language else None,
            words=given.get("word_timestamps") is True,
            form=str(given.get("transcription", "plain_text")),
        )
    except ValueError as err:
        raise RefusedError(f"Invalid parameter: {name} cannot be decoded: {err}") from None
    cost = order.endpoint.cost(seconds=said["duration"], characters=len(said["text"]))
    said |= {} if cost is None else {"cost": cost}
    match order.job.fault:
        case "result":
            return {"result": said.pop("text")} | said
        case "string":
            return said["text"]
        case _:
            return said


async def _films(studio: Studio, order: Order) -> JSON:
    given = order.given
    # A dance needs no words, but what is made of nothing does.
    about = order.prompt if given.get("prompt") or not order.sources else ""
    seconds, fps = _seconds(studio, given), round(_number(given, "fps", 24))
    if not 1 <= fps <= _FASTEST:
        raise RefusedError(f"Invalid parameter: fps must be between 1 and {_FASTEST}, not {fps}")

    def shoot() -> tuple[bytes, tuple[int, int]]:
        sources = [*order.sources, *([given["last_image"]] if given.get("last_image") else [])]
        shots = [studio.opened(source) for source in sources]
        size = video_size(given, shots[0].size if shots else None)
        form = canvas(size)
        drawn = shots or [
            captioned(about, size=form.coded, box=always_seen(form), seed=order.seed, signature=order.job.endpoint)
        ]
        return film(drawn, size=size, seconds=seconds, fps=fps, about=about), size

    data, size = await asyncio.get_running_loop().run_in_executor(studio.painters, shoot)
    label = resolution(size) + (" draft" if given.get("draft") is True else "")
    return studio.shelved(order, data, "video/mp4", "mp4", order.endpoint.cost(label, seconds=seconds))


def _seconds(studio: Studio, given: Mapping[str, JSON]) -> float:
    """As long as the recording or the video that was sent, else as was asked for."""
    for name, length in (("audio", _heard), ("video", mp4.seconds)):
        if given.get(name):
            try:
                return min(length(studio.read(given[name], name)), _LONGEST)
            except ValueError as err:
                raise RefusedError(f"Invalid parameter: {name} cannot be decoded: {err}") from None
    seconds = _number(given, "duration", 5)
    if not 0 < seconds <= _LONGEST:
        raise RefusedError(f"Invalid parameter: duration must be at most {_LONGEST:g} seconds, not {seconds:g}")
    return seconds


def _heard(data: bytes) -> float:
    return heard(data)[1]


async def _writes(_: Studio, order: Order) -> JSON:
    answer = native(dict(order.given), order.endpoint)
    model = order.given.get("model") or order.endpoint.model
    read = order.endpoint.cost(f"{model} input", tokens=answer.prompt_tokens)
    written = order.endpoint.cost(f"{model} output", tokens=answer.completion_tokens)
    said: dict[str, JSON] = {
        "choices": [{"tokens": [answer.content]}],
        "usage": {"input": answer.prompt_tokens, "output": answer.completion_tokens},
    }
    if read is not None and written is not None:
        said["cost"] = round(read + written, 9)
    return said if order.endpoint.native == "object" else [said]


def native(given: dict[str, JSON], endpoint: Endpoint) -> Reply:
    """The answer to the input of a text endpoint: a flat prompt or messages, sampling nested or not."""
    if isinstance(given.get("openai_input"), dict):
        return reply(given["openai_input"], think=endpoint.think)
    sampling = given.get("sampling_params")
    request = {"max_tokens": 512, **given, **(sampling if isinstance(sampling, dict) else {})}
    if not isinstance(request.get("messages"), list):
        request["messages"] = [{"role": "user", "content": _prompt(given)}]
    return reply(request, think=endpoint.think)


WORK: dict[Kind, Callable[[Studio, Order], Awaitable[JSON]]] = {
    "text": _writes,
    "image": _draws,
    "edit": _edits,
    "speech": _speaks,
    "transcription": _transcribes,
    "video": _films,
    "echo": _echoes,
}


def _guess(given: Mapping[str, JSON]) -> Kind:
    """What an endpoint that nobody knows may be for, by the names in its input."""
    names = given.keys()
    match given:
        case {"messages": _} | {"sampling_params": _} | {"max_tokens": _}:
            return "text"
        case {"prompt": _} if names & {"duration", "fps", "num_frames", "video", "last_image", "audio"}:
            return "video"
        case {"prompt": _} if names & {"voice", "voice_id", "voice_url"}:
            return "speech"
        case {"image": _} | {"images": _}:
            return "edit"
        case {"audio": _} | {"audio_base64": _}:
            return "transcription"
        case _:
            return "image" if "prompt" in given else "echo"


def _prompt(given: Mapping[str, JSON]) -> str:
    prompt = given.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise RefusedError("Invalid parameter: prompt is required")
    return prompt


def _number(given: Mapping[str, JSON], name: str, usual: float) -> float:
    value = given.get(name, usual)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise RefusedError(f"Invalid parameter: {name} must be a number, not {value!r}")
    return float(value)


def _form(given: Mapping[str, JSON]) -> str:
    form = given.get("image_format") or given.get("output_format") or "jpeg"
    form = "jpeg" if form == "jpg" else form
    if form not in MEDIA_TYPES:
        raise RefusedError(f"Invalid parameter: output_format must be one of png, jpeg, webp, not {form!r}")
    return str(form)


def _decoded(data: bytes) -> Image.Image:
    try:
        with Image.open(BytesIO(data)) as image:
            if image.width * image.height > LARGEST**2:
                raise RefusedError(f"Invalid parameter: image is larger than {LARGEST}x{LARGEST} pixels")
            return ImageOps.exif_transpose(image).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise RefusedError("Invalid parameter: image cannot be decoded, it is no picture or a damaged one") from None
