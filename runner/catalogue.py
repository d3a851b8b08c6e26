"""Known facts about models, as data: YAML rows in, `Model` values out. No code knows a model by name.

A row of ``runner/models/*.yaml``, or of an author's own catalogue::

    vendor/model-id:
      name: Shown Name
      kind: generate_image              # which kind of step may use it; also: [edit_image] for others
      endpoint: slug                    # https://api.runpod.ai/v2/{slug}/run
      openai_model: Vendor/Name         # text: what "model" is on the OpenAI route
      status: listed                    # listed | unlisted | removed (then: successor)
      price: {usd: 0.02, per: image}    # see runner/price.py
      images: {wire: image, minimum: 1, maximum: 1}   # pictures it takes; a field ending in s takes a list
      files: {audio: {wire: audio, required: true}}   # other files; bytes: the field for base64 without a URL;
                                      # sets: duration, if what is made is as long; seconds: what its price is known to
      prompt: optional                  # where a video needs none
      params:                           # our word for each parameter it takes → a JSON Schema, and
        steps: {wire: num_inference_steps, type: integer, minimum: 1, maximum: 8, default: 4}
        safety_checker: {wire: disable_safety_checker, invert: true}
        size: {wire: [width, height], rule: {...}}   # or wire: size with join: "*" and an enum
        aspect_ratio: {sizes: {4:3: 1024x768}}       # a ratio, or a resolution, that selects a size

``default`` is what the server takes when nothing is sent: shown and used for estimates, never sent.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import resources

from . import source
from .errors import cut
from .model import JSON
from .price import SLOWEST, Price

CONSOLE = re.compile(r"https://console\.runpod\.io/serverless/user/endpoint/([A-Za-z0-9-]+)/?(?:[?#].*)?\Z")
"""A private endpoint's page in Runpod's console."""

API = re.compile(
    r"https://api\.runpod\.ai/v2/([A-Za-z0-9][A-Za-z0-9._-]*)"
    r"(?:/(?:run|runsync|openai/v1(?:/chat/completions)?))?/?\Z"
)
"""An endpoint's address, with an operation or without. Only its id counts: nothing is sent to an address in a pipeline.

Any other URL is no model, because it would be sent the key.
"""

_PRIVATE = re.compile(r"(?=.*[0-9])[a-z0-9]{8,24}\Z")
_SIZE = re.compile(r"([1-9][0-9]{0,4})[x*]([1-9][0-9]{0,4})\Z")
_SELECTORS = ("aspect_ratio", "resolution")
"""Words that may select a size."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """A value that a model does not take: which parameter, why, and what it takes."""

    param: str
    message: str
    instead: str


@dataclass(frozen=True, slots=True)
class Model:
    """A row of the catalogue. A model that is not in it (``known`` false) takes any parameter as it is."""

    id: str
    kind: str
    endpoint: str
    name: str = ""
    openai_model: str = ""
    also: tuple[str, ...] = ()
    status: str = "listed"
    successor: str = ""
    aliases: tuple[str, ...] = ()
    variant_of: str = ""
    context: int | None = None
    abilities: tuple[str, ...] = ()
    price: Price | None = None
    prompt: str = "required"
    images: Mapping[str, JSON] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)
    params: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)
    base_url: str | None = None
    api_key_env: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    policy: Mapping[str, JSON] = field(default_factory=dict)
    known: bool = True

    def serves(self, kind: str) -> bool:
        """Whether a step of this kind may use it."""
        return kind == self.kind or kind in self.also

    def takes(self, param: str) -> bool:
        return not self.known or param in self.params

    @property
    def words(self) -> list[str]:
        """All that it takes, in our words."""
        pictures = ["image", "images"] if self.images.get("maximum") != 1 else ["image"]
        return [*(pictures if self.images else []), *self.files, *self.params]

    @property
    def most_pictures(self) -> int | None:
        """How many pictures it takes; None where nothing bounds them."""
        return self.images.get("maximum") if self.images or not self.known else 0

    def lacks(self, given: Iterable[str]) -> list[str]:
        """What it cannot do without and is not given."""
        if not self.known:
            return []
        names = set(given)
        needed = [n for n, rule in {**self.files, **self.params}.items() if rule.get("required")]
        if self.images.get("minimum") and not names & {"image", "images"}:
            needed.append("image")
        if self.prompt == "required" and self.kind == "generate_video":
            needed.append("prompt")
        return [name for name in needed if name not in names]

    def size(self, params: Mapping[str, JSON]) -> tuple[int, int] | None:
        """Width and height in pixels that these params ask for; the server's default if they ask for none."""
        selected = (self._sizes(word).get(str(params.get(word))) for word in _SELECTORS)
        said = params.get("size") or next(filter(None, selected), None)
        found = _SIZE.match(str(said or self.params.get("size", {}).get("default")))
        return (int(found[1]), int(found[2])) if found else None

    def cost(self, params: Mapping[str, JSON], length: int = 0) -> float | None:
        """The most that a call with these params can cost in USD; None where the catalogue has no price.

        ``length`` is that of the text that goes in. Chats are bounded by ``max_tokens`` and a token for each byte of
        the prompt, because no text has more tokens than bytes; speech by its slowest.
        """
        price = self.price
        if price is None:
            return None
        if price.per == "1m_tokens":
            return price.tokens(length, int(params.get("max_tokens", 0)) * int(params.get("n") or 1))
        if params.get("options"):
            return self._most(length)
        said = {**{n: rule["default"] for n, rule in self.params.items() if "default" in rule}, **params}
        size = self.size(params)
        rate = price.rate(said, size)
        match price.per:
            case "megapixel":
                width, height = size or (1024, 1024)
                return rate * width * height / 1e6
            case "second":
                return rate * price.seconds(self._seconds(said, length))
            case "1k_characters":
                return rate * length / 1000
        return rate

    @property
    def most(self) -> float | None:
        """The most that any call can cost in USD, whatever its params; None where nothing bounds it."""
        return self._most(None)

    def _most(self, length: int | None) -> float | None:
        price = self.price
        if price is None or price.per in ("image", "video"):
            return price.usd if price else None
        if price.per == "1m_tokens":
            return price.usd * self.context / 1e6 if self.context else None
        if price.per == "second" and self.kind == "generate_video":
            return price.usd * self._longest
        if price.per in ("second", "1k_characters"):
            by = SLOWEST if price.per == "second" else 1000
            return price.usd * length / by if length is not None else None
        rule = self.params.get("size", {})
        sides = [_SIZE.match(size) for size in rule.get("enum", ())]
        areas = [int(found[1]) * int(found[2]) for found in sides if found]
        areas += [rule["rule"]["maximum"] ** 2] if "rule" in rule else []
        return price.usd * max(areas) / 1e6 if areas else None

    def seconds(self, params: Mapping[str, JSON], length: int = 0) -> float | None:
        """The most seconds of sound or video that these params ask for; None where nothing bounds them."""
        if self.kind == "generate_video" and not self.known and not params.get("duration"):
            return None
        said = {**{n: rule["default"] for n, rule in self.params.items() if "default" in rule}, **params}
        return self._longest if params.get("options") and self.kind == "generate_video" else self._seconds(said, length)

    def _seconds(self, said: Mapping[str, JSON], length: int) -> float:
        """The most seconds of what these params ask for."""
        if self.kind != "generate_video":
            return length / SLOWEST
        for name, rule in self.files.items():
            if said.get(name) is not None and rule.get("sets") == "duration":
                return float(getattr(said[name], "seconds", None) or rule.get("seconds") or self._longest)
        seconds = said.get("duration")
        return float(seconds if seconds is not None else self._longest)

    @property
    def _longest(self) -> float:
        """Seconds of the longest video that it makes."""
        rule = self.params.get("duration", {})
        given = [rule["seconds"] for rule in self.files.values() if "seconds" in rule]
        return float(max(rule.get("enum") or [rule.get("maximum", 60), *given][-1:]))

    def wire(self, params: Mapping[str, JSON]) -> dict[str, JSON]:
        """Our words to this model's: ``{"steps": 4}`` → ``{"num_inference_steps": 4}``."""
        sent: dict[str, JSON] = {}
        sized = False
        for name, value in params.items():
            rule = self.params.get(name, {})
            if name == "size" or "sizes" in rule:
                sized = True
            else:
                sent[str(rule.get("wire", name))] = not value if rule.get("invert") else value
        if sized:
            sent.update(self._wire_size(params))
        return sent

    def _wire_size(self, params: Mapping[str, JSON]) -> dict[str, JSON]:
        size = self.size(params)
        if size is None:
            return {"size": params["size"]} if "size" in params else {}
        rule = self.params.get("size", {})
        wire = rule.get("wire", "size")
        if isinstance(wire, list):
            return dict(zip(wire, size, strict=True))
        return {wire: f"{size[0]}{rule.get('join', '*')}{size[1]}"}

    def wrong(self, params: Mapping[str, JSON]) -> Iterator[Wrong]:
        """What of these params the model does not take. Values that are not known yet are to be left out."""
        if not self.known:
            return
        for name, value in params.items():
            if name not in self.params:
                yield Wrong(name, f"{self.id} takes no {name}.", f"It takes: {', '.join(self.words)}.")
            elif name == "size":
                yield from self._wrong_size(str(value))
            elif name in _SELECTORS:
                yield from self._wrong_selector(name, str(value))
            elif found := _violation(name, value, self.params[name]):
                yield found
        selecting = [word for word in ("size", *_SELECTORS) if word in params and (word == "size" or self._sizes(word))]
        if len(selecting) > 1:
            what = "video" if self.kind == "generate_video" else "picture"
            message = f"{' and '.join(selecting)} both say how large the {what} is."
            instead = "Keep one of them." if "size" in selecting else "Keep one of them, or write a size."
            yield Wrong(selecting[-1], message, instead)

    def _wrong_size(self, value: str) -> Iterator[Wrong]:
        rule = self.params["size"]
        found = _SIZE.match(value)
        if found is None:
            yield Wrong("size", f"{cut(value)} is not a size.", "Write WIDTHxHEIGHT in pixels, such as 1024x1024.")
            return
        if "enum" in rule and f"{found[1]}x{found[2]}" not in rule["enum"]:
            yield Wrong("size", f"{self.id} has no size {value}.", f"It has {', '.join(rule['enum'])}.")
        if limits := rule.get("rule"):
            low, high, step = limits["minimum"], limits["maximum"], limits["multiple_of"]
            for side in (int(found[1]), int(found[2])):
                if not low <= side <= high or side % step:
                    instead = f"Width and height each are {low} to {high} pixels, a multiple of {step}."
                    yield Wrong("size", f"{self.id} has no size {value}.", instead)
                    return

    def _wrong_selector(self, name: str, value: str) -> Iterator[Wrong]:
        rule = self.params[name]
        known = rule.get("sizes") or rule.get("enum")
        if known is not None and value not in known:
            instead = f"It has {', '.join(known)}."
            if "rule" in self.params.get("size", {}):
                instead += " Or give a size."
            yield Wrong(name, f"{self.id} has no {name.replace('_', ' ')} {cut(value)}.", instead)

    def _sizes(self, word: str) -> Mapping[str, str]:
        sizes: Mapping[str, str] = self.params.get(word, {}).get("sizes", {})
        return sizes


@dataclass(frozen=True)
class Catalogue:
    """The models that are known, by id, alias and endpoint slug."""

    models: Mapping[str, Model]

    def find(self, name: str) -> Model | None:
        """The model of a public id, another name for it, or its endpoint's slug or address."""
        address = API.match(name)
        return self._names.get(address[1] if address else name)

    def near(self, name: str, kind: str | None = None, most: int = 3) -> list[str]:
        """The ids nearest to a name that is not known: of the wanted kind, but for one that is nearly the same."""
        wanted = [m.id for m in self.models.values() if kind is None or m.serves(kind)]
        same = get_close_matches(name, list(self.models), n=1, cutoff=0.85)
        close = get_close_matches(name, wanted, n=most, cutoff=0.3)
        rest = get_close_matches(name.rpartition("/")[2], wanted, n=most, cutoff=0.0)
        return list(dict.fromkeys([*same, *close, *rest]))[:most]

    def alike(self, name: str, kind: str | None = None) -> list[str]:
        """The ids that may be meant by a name: wholly, or by what stands behind their slash."""
        said = "-".join(name.lower().split())
        wanted = [m.id for m in self.models.values() if kind is None or m.serves(kind)]
        by_name = {said_of: each for each in reversed(wanted) for said_of in (each, each.rpartition("/")[2])}
        same = get_close_matches(said, self._short, n=1, cutoff=0.85)
        close = get_close_matches(said, by_name, n=6, cutoff=0.65)
        return list(dict.fromkeys([*(self._short[each] for each in same), *(by_name[each] for each in close)]))[:3]

    @functools.cached_property
    def _short(self) -> dict[str, str]:
        """The ids by themselves, and by what stands behind their slash."""
        return {said: each for each in reversed(list(self.models)) for said in (each, each.rpartition("/")[2])}

    def of_kind(self, kind: str) -> list[Model]:
        return [model for model in self.models.values() if model.serves(kind)]

    def merged(self, own: Iterable[Model]) -> Catalogue:
        """This catalogue with an author's own rows over it."""
        return Catalogue({**self.models, **{model.id: model for model in own}})

    @functools.cached_property
    def _names(self) -> dict[str, Model]:
        names: dict[str, Model] = {}
        for model in self.models.values():
            for name in (model.endpoint, *model.aliases):
                if not (name == model.endpoint and model.variant_of):
                    names[name] = model
        return {**names, **self.models}


def private(name: str, kind: str) -> Model | None:
    """The model behind a private endpoint's id, console URL or address; None if the name is none of these."""
    if found := CONSOLE.match(name) or API.match(name):
        name = found[1]
    elif not _PRIVATE.match(name):
        return None
    return Model(id=name, kind=kind, endpoint=name, known=False)


@functools.cache
def builtin() -> Catalogue:
    """The catalogue that comes with the package, read when it is first asked for."""
    folder = resources.files("runner") / "models"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    models = (model for f in files for model in read(source.parse(f.read_text(encoding="utf-8"), f.name).data))
    return Catalogue({model.id: model for model in models})


KINDS = ("generate_text", "generate_image", "edit_image", "generate_speech", "transcribe_audio", "generate_video")
"""Kinds whose models have rows."""


def read(rows: Mapping[str, JSON]) -> list[Model]:
    """The models of rows whose form is right: ours are tested, an author's go through `rows.read`."""
    return [_model(name, row) for name, row in rows.items()]


def _model(name: str, row: Mapping[str, JSON]) -> Model:
    fields = dict(row)
    for word in ("also", "aliases", "abilities"):
        fields[word] = tuple(fields.get(word, ()))
    if price := fields.pop("price", None):
        rows = tuple(price.get("rows", ()))
        fields["price"] = Price(float(price["usd"]), price["per"], rows, price.get("input"), price.get("step"))
    return Model(id=name, **fields)


def _violation(name: str, value: JSON, rule: Mapping[str, JSON]) -> Wrong | None:
    """The parts of JSON Schema that rows use, in words: a compiled validator a model would cost more than it gives."""
    if "enum" in rule and value not in rule["enum"]:
        known = [str(each) for each in rule["enum"]]
        near = get_close_matches(str(value), known, n=1) if isinstance(value, str) else []
        meant = f"Did you mean {near[0]}? " if near else ""
        return Wrong(name, f"{name} cannot be {cut(str(value))}.", f"{meant}It can be {', '.join(known)}.")
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = rule.get("minimum"), rule.get("maximum")
        if (low is not None and value < low) or (high is not None and value > high):
            limits = f"{low} to {high}" if low is not None and high is not None else (
                f"at least {low}" if low is not None else f"at most {high}")  # fmt: skip
            return Wrong(name, f"{name} cannot be {value}.", f"It can be {limits}.")
        if rule.get("type") == "integer" and not float(value).is_integer():
            return Wrong(name, f"{name} cannot be {value}.", "It is a whole number.")
    return None
