"""Known facts about models, as data: YAML rows in, `Model` values out. No code knows a model by name.

A row of ``runner/models/*.yaml``::

    vendor/model-id:
      name: Shown Name
      kind: generate_image              # which kind of step may use it
      endpoint: slug                    # https://api.runpod.ai/v2/{slug}/run
      openai_model: Vendor/Name         # text: what "model" is on the OpenAI route
      status: listed                    # listed | unlisted | removed (then: successor)
      price: {usd: 0.02, per: image}    # per image | megapixel | 1m_tokens
      images: {wire: image, maximum: 1} # pictures it takes: field, most; a field ending in s takes a list
      params:                           # our word for each parameter it takes → a JSON Schema, and
        steps: {wire: num_inference_steps, type: integer, minimum: 1, maximum: 8, default: 4}
        size: {wire: [width, height], rule: {...}}   # or wire: size with join: "*" and an enum
        aspect_ratio: {sizes: {4:3: 1024x768}}       # a ratio that selects a size

``default`` is what the server takes when nothing is sent: shown and used for estimates, never sent.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import resources
from typing import Literal, TypeAlias

from . import source
from .model import JSON

Unit: TypeAlias = Literal["image", "megapixel", "1m_tokens"]

CONSOLE = re.compile(r"https://console\.runpod\.io/serverless/user/endpoint/([A-Za-z0-9-]+)/?(?:[?#].*)?\Z")
"""A private endpoint's page in Runpod's console. Any other URL is not a model: it would be sent the key."""

_PRIVATE = re.compile(r"(?=.*[0-9])[a-z0-9]{8,24}\Z")
_SIZE = re.compile(r"([1-9][0-9]{0,4})[x*]([1-9][0-9]{0,4})\Z")


@dataclass(frozen=True, slots=True)
class Price:
    """USD per image, per megapixel of its size, or per million tokens."""

    usd: float
    per: Unit


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
    status: str = "listed"
    successor: str = ""
    aliases: tuple[str, ...] = ()
    context: int | None = None
    price: Price | None = None
    images: Mapping[str, JSON] = field(default_factory=dict)
    params: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)
    base_url: str | None = None
    api_key_env: str | None = None
    known: bool = True

    def takes(self, param: str) -> bool:
        return not self.known or param in self.params

    def size(self, params: Mapping[str, JSON]) -> tuple[int, int] | None:
        """Width and height in pixels that these params ask for; the server's default if they ask for none."""
        said = params.get("size") or self._sizes().get(str(params.get("aspect_ratio")))
        said = said or self.params.get("size", {}).get("default")
        found = _SIZE.match(str(said))
        return (int(found[1]), int(found[2])) if found else None

    def cost(self, params: Mapping[str, JSON], length: int = 0) -> float | None:
        """The most that a call with these params can cost in USD; None where the catalogue has no price.

        Text is bounded by ``max_tokens`` and a token for each three bytes of the prompt, which are ``length``.
        """
        if self.price is None:
            return None
        match self.price.per:
            case "image":
                return self.price.usd
            case "megapixel" if params.get("options"):
                return self.most
            case "megapixel":
                width, height = self.size(params) or (1024, 1024)
                return self.price.usd * width * height / 1e6
            case "1m_tokens":
                return self.price.usd * (int(params.get("max_tokens", 0)) + length / 3) / 1e6

    @property
    def most(self) -> float | None:
        """The most that any call can cost in USD, whatever its params; None where nothing bounds it."""
        if self.price is None or self.price.per == "image":
            return self.price.usd if self.price else None
        if self.price.per == "1m_tokens":
            return self.price.usd * self.context / 1e6 if self.context else None
        rule = self.params.get("size", {})
        sides = [_SIZE.match(size) for size in rule.get("enum", ())]
        areas = [int(found[1]) * int(found[2]) for found in sides if found]
        areas += [rule["rule"]["maximum"] ** 2] if "rule" in rule else []
        return self.price.usd * max(areas) / 1e6 if areas else None

    def wire(self, params: Mapping[str, JSON]) -> dict[str, JSON]:
        """Our words to this model's: ``{"steps": 4}`` → ``{"num_inference_steps": 4}``."""
        sent: dict[str, JSON] = {}
        for name, value in params.items():
            if name not in ("size", "aspect_ratio"):
                sent[str(self.params.get(name, {}).get("wire", name))] = value
        ratio = self.params.get("aspect_ratio", {})
        if "aspect_ratio" in params and "sizes" not in ratio:
            sent[str(ratio.get("wire", "aspect_ratio"))] = params["aspect_ratio"]
        if "size" in params or ("aspect_ratio" in params and "sizes" in ratio):
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
                yield Wrong(name, f"{self.id} takes no {name}.", f"It takes: {', '.join(self.params)}.")
            elif name == "size":
                yield from self._wrong_size(str(value))
            elif name == "aspect_ratio":
                yield from self._wrong_ratio(str(value))
            elif found := _violation(name, value, self.params[name]):
                yield found
        if "size" in params and "aspect_ratio" in params and "sizes" in self.params.get("aspect_ratio", {}):
            yield Wrong("aspect_ratio", "size and aspect_ratio both say how large the picture is.", "Keep one of them.")

    def _wrong_size(self, value: str) -> Iterator[Wrong]:
        rule = self.params["size"]
        found = _SIZE.match(value)
        if found is None:
            yield Wrong("size", f"{value} is not a size.", "Write WIDTHxHEIGHT in pixels, such as 1024x1024.")
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

    def _wrong_ratio(self, value: str) -> Iterator[Wrong]:
        known = self._sizes() or dict.fromkeys(self.params["aspect_ratio"].get("enum", ()))
        if value not in known:
            instead = f"It has {', '.join(known)}."
            if "size" in self.params and "rule" in self.params["size"]:
                instead += " Or give a size."
            yield Wrong("aspect_ratio", f"{self.id} has no aspect ratio {value}.", instead)

    def _sizes(self) -> Mapping[str, str]:
        sizes: Mapping[str, str] = self.params.get("aspect_ratio", {}).get("sizes", {})
        return sizes


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The models that are known, by id, alias and endpoint slug."""

    models: Mapping[str, Model]

    def find(self, name: str) -> Model | None:
        """The model of a public id, another name for it, or its endpoint's slug."""
        return self._names().get(name)

    def near(self, name: str, kind: str | None = None, most: int = 3) -> list[str]:
        """The ids nearest to a name that is not known, those of the wanted kind first."""
        wanted = [m.id for m in self.models.values() if kind in (None, m.kind)]
        close = get_close_matches(name, wanted, n=most, cutoff=0.3)
        rest = get_close_matches(name.rpartition("/")[2], wanted, n=most, cutoff=0.0)
        return list(dict.fromkeys([*close, *rest]))[:most]

    def of_kind(self, kind: str) -> list[Model]:
        return [model for model in self.models.values() if model.kind == kind]

    def _names(self) -> dict[str, Model]:
        names: dict[str, Model] = {}
        for model in self.models.values():
            names.update(dict.fromkeys((model.endpoint, *model.aliases), model))
        return {**names, **self.models}


def private(name: str, kind: str) -> Model | None:
    """The model behind a private endpoint's id or console URL; None if the name is neither."""
    if found := CONSOLE.match(name):
        name = found[1]
    elif not _PRIVATE.match(name):
        return None
    return Model(id=name, kind=kind, endpoint=name, known=False)


@functools.cache
def builtin() -> Catalogue:
    """The catalogue that comes with the package, read when it is first asked for."""
    folder = resources.files("runner") / "models"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    rows = (row for f in files for row in read(f.read_text(encoding="utf-8"), f.name))
    return Catalogue({model.id: model for model in rows})


def read(text: str, file: str) -> Iterable[Model]:
    """The models of a catalogue file."""
    data = source.parse(text, file).data
    return [_model(name, row) for name, row in data.items()]


def _model(name: str, row: Mapping[str, JSON]) -> Model:
    fields = dict(row)
    price = fields.pop("price", None)
    return Model(
        id=name,
        price=Price(float(price["usd"]), price["per"]) if price else None,
        aliases=tuple(fields.pop("aliases", ())),
        **fields,
    )


def _violation(name: str, value: JSON, rule: Mapping[str, JSON]) -> Wrong | None:
    """The parts of JSON Schema that rows use, in words: a compiled validator a model would cost more than it gives."""
    if "enum" in rule and value not in rule["enum"]:
        return Wrong(name, f"{name} cannot be {value}.", f"It can be {', '.join(map(str, rule['enum']))}.")
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = rule.get("minimum"), rule.get("maximum")
        if (low is not None and value < low) or (high is not None and value > high):
            limits = f"{low} to {high}" if low is not None and high is not None else (
                f"at least {low}" if low is not None else f"at most {high}")  # fmt: skip
            return Wrong(name, f"{name} cannot be {value}.", f"It can be {limits}.")
    return None
