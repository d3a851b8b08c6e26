"""Models as text or as data: a list of all of them, or one with its parameters, price and a pipeline to start from."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping

from ..catalogue import Model
from ..kinds import KINDS
from ..model import JSON
from ..price import WORDS, prices, usd

_WIDEST = 60
_TYPES = {"string": "text", "integer": "an integer", "number": "a number", "boolean": "true or false",
          "array": "a list", "object": "a mapping"}  # fmt: skip


def text(models: Iterable[Model]) -> str:
    """The list, one line a model under its kind::

    generate_image
      vendor/painter    0.005 USD an image     1:1, 16:9, 9:16, 4:3
    """
    parts = []
    for kind, found in itertools.groupby(models, lambda model: model.kind):
        lines = [(model.id, _price(model), gist(model)) for model in found]
        wide = [max(len(line[column]) for line in lines) for column in (0, 1)]
        shown = [f"  {name:{wide[0]}}  {price:{wide[1]}}  {short}".rstrip() for name, price, short in lines]
        parts.append("\n".join([kind, *shown]))
    return "\n\n".join(parts)


def one(model: Model) -> str:
    """All that is known of a model, and a pipeline that uses it."""
    names = [model.endpoint, *model.aliases] if not model.variant_of else list(model.aliases)
    facts = {
        "kind": ", ".join([model.kind, *model.also]),
        "price": prices(model.price),
        "status": status(model),
        "also called": ", ".join(name for name in names if name != model.id),
        "context": f"{model.context:,} tokens" if model.context else "",
        "can": ", ".join(model.abilities),
    }
    parts = [f"{model.id}{f'  {model.name}' if model.name else ''}", "\n".join(_columns(facts)),
             "\n".join(["Parameters", *_columns(params(model))])]  # fmt: skip
    if taken := files(model):
        parts.append("\n".join(["Files", *_columns(taken)]))
    return "\n\n".join([*parts, "A pipeline to start from:", snippet(model).rstrip()])


def data(model: Model) -> dict[str, JSON]:
    """A model as plain data: its row, without what it does not say."""
    row = dataclasses.asdict(dataclasses.replace(model, params=dict(model.params)))
    for word in ("known", "base_url", "api_key_env", "headers", "policy"):
        del row[word]
    row["price"] = {k: v for k, v in row["price"].items() if v not in (None, ())} if row["price"] else None
    return {word: value for word, value in row.items() if value or word == "price"}


def params(model: Model) -> dict[str, str]:
    """What each parameter takes, in words."""
    own = {"generate_speech": "text", "transcribe_audio": ""}.get(model.kind, "prompt")
    needs = "text; required" if model.prompt == "required" else "text"
    return {**({own: needs} if own else {}), **{word: _rule(model, word, rule) for word, rule in model.params.items()}}


def snippet(model: Model) -> str:
    """A pipeline that uses the model and passes `runner check`: to paste, and to change."""
    media = next((m for m in ("image", "video", "audio") if m in _yields(model)), "text")
    step = {"image": "picture", "video": "film", "audio": "voice"}.get(media, "text")
    given = dict(_given(model))
    files = dict(_needed_files(model))
    lines = [f"name: {model.id.rpartition('/')[2].lower()}"]
    if files:
        lines += ["inputs:", *(f"  {word}: {{type: {medium}}}" for word, medium in files.items())]
    lines += ["steps:", f"  {step}:", f"    kind: {model.kind}", f"    model: {model.id}"]
    lines += [f'    {word}: "{{{{ inputs.{word} }}}}"' for word in files]
    lines += [f"    {word}: {value}" for word, value in given.items()]
    suffix = {"image": "png", "video": "mp4", "audio": "wav"}.get(media, "txt")
    return "\n".join([*lines, "outputs:", f'  {step}.{suffix}: "{{{{ steps.{step}.{media} }}}}"', ""])


def _yields(model: Model) -> Mapping[str, JSON]:
    shape: Mapping[str, JSON] = KINDS[model.kind].output({})["properties"]
    return shape


def _needed_files(model: Model) -> Iterator[tuple[str, str]]:
    """The files that the model cannot do without, and what each is."""
    for word in model.lacks([*model.params, "prompt"]):
        yield word, _wanted(model, word)["artifact"]


def _given(model: Model) -> Iterator[tuple[str, JSON]]:
    """A text, what the model needs, and what one likes to change first."""
    match model.kind:
        case "generate_text":
            yield "prompt", "Write a slogan for a tea shop. Answer with the slogan only."
        case "generate_speech":
            yield "text", "The kettle is on."
        case "edit_image":
            yield "prompt", "Put it on a table in winter."
        case "generate_image":
            yield "prompt", "a red ceramic teapot, studio light"
        case "generate_video":
            yield "prompt", "the camera moves slowly to the left"
    for word, rule in model.params.items():
        if word in ("aspect_ratio", "duration", "resolution", "voice", "temperature") or rule.get("required"):
            if word == "resolution" and "sizes" in rule and "aspect_ratio" in model.params:
                continue  # either of them selects the size
            known = rule.get(
                "default", next(iter(rule.get("enum") or rule.get("sizes") or rule.get("examples") or ()), None)
            )
            if known is not None:
                yield word, known


def _columns(rows: Mapping[str, str]) -> list[str]:
    width = max(map(len, rows), default=0)
    return [f"  {name:{width}}  {said}" for name, said in rows.items() if said]


def _price(model: Model) -> str:
    price = model.price
    if price is None:
        return "price not known"
    if price.step:
        return f"{usd(price.usd * price.step)} USD for {usd(price.step)} seconds"
    amounts = sorted({price.usd, *(float(row["usd"]) for row in price.rows), *([price.input] if price.input else [])})
    return f"{' to '.join(usd(amount) for amount in dict.fromkeys([amounts[0], amounts[-1]]))} USD {WORDS[price.per]}"


def gist(model: Model) -> str:
    """What tells it from others of its kind, in one line."""
    ended = status(model) if model.status != "listed" else ""
    words = [word for word in ("duration", "resolution", "aspect_ratio", "size") if word in model.params]
    said = [_short(_values(model.params[word], word)) for word in words]
    if model.kind == "generate_text":
        said = [*([f"{model.context:,} tokens"] if model.context else []), *model.abilities]
    if "voice" in model.params:
        said = [f"{len(model.params['voice'].get('enum', ())) or 'many'} voices"]
    return "; ".join(part for part in [*said, ended] if part)


def _values(rule: Mapping[str, JSON], word: str = "") -> str:
    unit = " s" if word == "duration" else ""
    if "sizes" in rule or "enum" in rule:
        return ", ".join(map(str, rule.get("sizes") or rule["enum"])) + unit
    if "rule" in rule:
        limits = rule["rule"]
        return f"each side {limits['minimum']} to {limits['maximum']}, a multiple of {limits['multiple_of']}"
    low, high = rule.get("minimum"), rule.get("maximum")
    if low is not None and high is not None:
        return f"{low} to {high}{unit}"
    if low is not None or high is not None:
        return f"at least {low}{unit}" if low is not None else f"at most {high}{unit}"
    if "examples" in rule:
        return f"such as {', '.join(map(str, rule['examples']))}"
    return "WIDTHxHEIGHT" if word == "size" else ""


def _rule(model: Model, word: str, rule: Mapping[str, JSON]) -> str:
    kind = rule.get("type") or _wanted(model, word)["type"]
    values = _values(rule, word)
    said = values if "enum" in rule or "sizes" in rule or word == "size" else f"{_TYPES[kind]}, {values}".rstrip(", ")
    default = rule.get("default")
    if default is not None:
        usual = default if not isinstance(default, bool) else str(default).lower()
        return f"{said}; {usual} if you do not say"
    return f"{said}; required" if rule.get("required") else said


def files(model: Model) -> dict[str, str]:
    found = {}
    if model.images:
        low, high = model.images.get("minimum"), model.images.get("maximum")
        many = "a picture" if high == 1 else f"pictures, up to {high}" if high else "pictures"
        found["image" if high == 1 else "images"] = f"{many}; required" if low else many
    for word, rule in model.files.items():
        medium = _wanted(model, word)["artifact"]
        article = "an" if medium[0] in "aeiou" else "a"
        what = f"{article} {medium} file" if medium == "audio" else f"{article} {medium}"
        ends = "; says how long the video is" if rule.get("sets") == "duration" else ""
        found[word] = what + ("; required" if rule.get("required") else "") + ends
    return found


def _wanted(model: Model, word: str) -> Mapping[str, JSON]:
    """What the kinds that the model serves want of a parameter."""
    found: Mapping[str, JSON] = next(
        KINDS[kind].PARAMS[word] for kind in (model.kind, *model.also) if word in KINDS[kind].PARAMS
    )
    return found


def status(model: Model) -> str:
    if model.status == "removed":
        return f"removed by Runpod; use {model.successor}" if model.successor else "removed by Runpod"
    return {"listed": "listed", "unlisted": "not on Runpod's list any more"}[model.status]


def _short(said: str) -> str:
    return said if len(said) <= _WIDEST else said[: _WIDEST - 1].rpartition(",")[0] + ", …"
