"""What each model takes, as JSON Schema: the schemas of steps and of aliases in, the same with conditions on their
``model`` out.

An editor offers what any schema of a key says. So what differs from model to model stands in the conditions only: it
offers the sizes and voices of the model that is written, and underlines what that does not take. An alias in a step,
or an endpoint of one's own, may be any model: then the values of all are offered, and any other will do.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

from .catalogue import Model, builtin
from .hints import TEMPLATE
from .kinds import KINDS
from .kinds.kind import COMMON
from .model import JSON
from .price import prices

ALIAS = "alias"
_WHERE = ("model", "base_url", "api_key_env", "headers", "policy")
"""What an alias says of where its model is; all else goes to the calls."""
_ALIAS_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


def definitions(steps: Mapping[str, JSON], alias: JSON) -> dict[str, JSON]:
    """The definitions of steps by kind, of an `ALIAS`, of each model, and of the params of models that nobody knows."""
    shared = [name for name in alias["properties"] if name not in _WHERE]
    varied = {kind: _varied(kind, step) for kind, step in steps.items()}
    models = list(builtin().models.values())
    found: dict[str, JSON] = {}
    for kind, step in steps.items():
        if known := _of(kind):
            others = {name: _offering(name, step["properties"][name], known) for name in varied[kind]}
            found[_others(kind)] = {"properties": others}
        found[kind] = _step(kind, step, varied[kind], shared)
    for model in models:
        kinds = [kind for kind in steps if model.serves(kind)]
        names = {name: kind for kind in reversed(kinds) for name in varied[kind] if name in shared}
        found[model.id] = _taken(model, names, steps)
    found[ALIAS] = _alias(alias, shared, varied, models)
    return found


def _step(kind: str, step: JSON, varied: Sequence[str], shared: Sequence[str]) -> JSON:
    """A step whose params depend on its model."""
    timeout = {**step["properties"]["timeout"], "default": KINDS[kind].TIMEOUT}
    properties = {**step["properties"], "timeout": timeout, **dict.fromkeys(varied, True)}
    models = _of(kind)
    if not models:
        return {**step, "properties": properties}
    properties["model"] = _named(models, properties["model"])
    own = {name: kind for name in varied if name not in shared}
    ways = [(model, {"allOf": [{"$ref": _ref(model.id)}, _taken(model, own, {kind: step})]}) for model in models]
    foreign = [model for model in builtin().models.values() if not model.serves(kind)]
    said = {"pattern": "^$", "patternErrorMessage": f"It is a model for another kind of step, not for {kind}."}
    conditions = [
        *({**_if([model]), "then": way} for model, way in ways),
        {**_if(models), "else": {"$ref": _ref(_others(kind))}},
        {**_if(foreign, may_be_alias=False), "then": _on_model(said)},
        *_removed(models),
    ]
    return {**step, "properties": properties, "allOf": [*step.get("allOf", ()), *conditions]}


def _alias(alias: JSON, shared: Sequence[str], varied: Mapping[str, Sequence[str]], models: Sequence[Model]) -> JSON:
    """An entry of ``models:``, whose params depend on its model; behind another server's address they do not."""
    properties = {**alias["properties"], **dict.fromkeys(shared, True)}
    properties["model"] = _named(models, properties["model"])
    conditions: list[JSON] = []
    for kind, names in varied.items():
        same = [name for name in KINDS[kind].PARAMS if name in shared and name not in names]
        if of_kind := [model for model in models if model.kind == kind]:
            params = {name: {"$ref": f"{_ref(kind)}/properties/{name}"} for name in same}
            conditions.append({**_if(of_kind, on_runpod=True), "then": {"properties": params}})
    others = {name: _offering(name, alias["properties"][name], models) for name in shared}
    conditions += [
        *({**_if([model], on_runpod=True), "then": {"$ref": _ref(model.id)}} for model in models),
        {**_if(models, on_runpod=True), "else": {"properties": others}},
        *_removed(models),
    ]
    return {"title": "Alias", **alias, "properties": properties, "allOf": conditions}


def _varied(kind: str, step: JSON) -> list[str]:
    """The params of a kind that are not the same for each of its models."""
    names = [name for name in KINDS[kind].PARAMS if name not in step["required"]]
    return [name for name in names if any(_refuses(m, name) or _differs(m, name, kind) for m in _of(kind))]


def _refuses(model: Model, name: str) -> bool:
    if name in ("image", "images"):
        return model.most_pictures == 0
    return name not in COMMON and name not in model.files and name not in model.params


_VALUES = ("enum", "sizes", "rule", "minimum", "maximum", "default", "examples")


def _differs(model: Model, name: str, kind: str) -> bool:
    param, rule = KINDS[kind].PARAMS[name], _rule(model, name)
    return any(rule[word] != param.get(word) for word in _VALUES if word in rule)


def _rule(model: Model, name: str) -> Mapping[str, JSON]:
    return {**model.files, **model.params}.get(name, {})


def _taken(model: Model, kinds: Mapping[str, str], steps: Mapping[str, JSON]) -> JSON:
    """What a model makes of params, each of a kind: their values, or that it does not take them."""
    params: dict[str, JSON] = {}
    for name, kind in kinds.items():
        if _refuses(model, name):
            params[name] = False
        elif _differs(model, name, kind):
            params[name] = _own(model, name, KINDS[kind].PARAMS[name], steps[kind]["properties"][name])
        else:
            params[name] = {"$ref": f"{_ref(_others(kind))}/properties/{name}"}
    large = [name for name in ("size", "aspect_ratio", "resolution") if name in kinds and name in model.params]
    large = [name for name in large if name == "size" or "sizes" in _rule(model, name)]
    both = [_one_of(*pair) for pair in itertools.combinations(large, 2)]
    return {"properties": params, **({"allOf": both} if both else {})}


def _own(model: Model, name: str, param: JSON, schema: JSON) -> JSON:
    """A param with the values of one model."""
    rule = _rule(model, name)
    said = {"description": _of_param(param, model, rule)}
    shown = {word: rule[word] for word in ("default", "examples") if word in rule}
    if name == "size" and "rule" in rule:
        return {**said, **shown, "type": "string", **_sides(rule["rule"])}
    if values := _values(rule):
        stars = [size.replace("x", "*") for size in values] if name == "size" else []
        other = [{"type": "string", "pattern": _any_of(stars)}] if stars else []
        return {**said, **shown, "anyOf": [{"enum": values}, *other, TEMPLATE]}
    if bounds := {word: {**param, **rule}[word] for word in ("minimum", "maximum") if word in {**param, **rule}}:
        return {**said, **shown, "anyOf": [{"type": param["type"], **bounds}, TEMPLATE]}
    return {**{word: value for word, value in schema.items() if word != "examples" or not shown}, **said, **shown}


def _of_param(param: JSON, model: Model, rule: Mapping[str, JSON]) -> str:
    """What a param is, and what this model does where it is not said."""
    said = [str(param.get("description", "")), *([_measures(rule["rule"])] if "rule" in rule else [])]
    if (default := rule.get("default")) is not None:
        usual = str(default).lower() if isinstance(default, bool) else default
        said.append(f"{model.name or model.id} takes {usual} if you do not say.")
    return " ".join(said)


def _sides(rule: Mapping[str, JSON]) -> JSON:
    """Every size whose sides keep to a rule."""
    sides = "|".join(map(str, range(rule["minimum"], rule["maximum"] + 1, rule["multiple_of"])))
    pattern = rf"^(?:{sides})[x*](?:{sides})$|{TEMPLATE['pattern']}"
    return {"pattern": pattern, "patternErrorMessage": _measures(rule)}


def _measures(rule: Mapping[str, JSON]) -> str:
    low, high, step = rule["minimum"], rule["maximum"], rule["multiple_of"]
    return f"Width and height each are {low} to {high} pixels, a multiple of {step}."


def _one_of(name: str, other: str) -> JSON:
    """Refuses the other of two params that both say how large it is; templates may come to nothing."""
    said = {"not": {"pattern": TEMPLATE["pattern"]}}
    message = f"{name} and {other} both say how large it is. Keep one of them."
    return {
        "if": {"properties": {name: said, other: said}, "required": [name, other]},
        "then": {"properties": {other: False}, "errorMessage": message},
    }


def _values(rule: Mapping[str, JSON]) -> list[JSON]:
    return list(rule.get("enum") or rule.get("sizes", ()))


def _offering(name: str, schema: JSON, models: Iterable[Model]) -> JSON:
    """A param of a model that nobody knows, with the values of all models, and any other."""
    known = [model for model in models if model.status != "removed"]
    values = list(dict.fromkeys(value for model in known for value in _values(_rule(model, name))))
    ways = schema.get("anyOf", [])
    if not values or not ways or "enum" in ways[0]:
        return schema
    return {**schema, "anyOf": [{"enum": values}, *ways]}


def _named(models: Iterable[Model], schema: JSON) -> JSON:
    """The schema of ``model:``: any text, and what each model that is known is and costs."""
    known = [model for model in models if model.status != "removed"]
    said = [f"{model.name or model.id}. {prices(model.price)}" for model in known]
    names = [model.id for model in known]
    ways = [{"enum": names, "enumDescriptions": said}, {"type": "string", "not": {"enum": names}}]
    return {"description": schema["description"], "anyOf": ways}


def _removed(models: Iterable[Model]) -> list[JSON]:
    """A warning where a model is written that Runpod has removed."""
    found: list[JSON] = []
    for model in models:
        if model.status == "removed":
            said = f"Runpod has removed {model.id} from its list; it may stop working."
            said += f" Use {model.successor}." if model.successor else ""
            found.append({**_if([model]), "then": _on_model({"deprecationMessage": said})})
    return found


def _on_model(schema: JSON) -> JSON:
    return {"properties": {"model": {"description": "What is wrong with it.", **schema}}}


def _if(models: Iterable[Model], *, on_runpod: bool = False, may_be_alias: bool = True) -> dict[str, JSON]:
    """Whether one of these models is written: and is not at another server, and not what may be an alias."""
    names = [name for model in models for name in _names(model) if may_be_alias or not _ALIAS_NAME.match(name)]
    here = {"model": {"type": "string", "pattern": _any_of(names)}, **({"base_url": False} if on_runpod else {})}
    return {"if": {"properties": here, "required": ["model"]}}


def _names(model: Model) -> list[str]:
    slug = [] if model.variant_of else [model.endpoint]
    return list(dict.fromkeys([model.id, *slug, *model.aliases]))


def _any_of(texts: Iterable[str]) -> str:
    """A pattern for any of some texts: editors would offer an enum as values of the key, and show it as help."""
    return f"^(?:{'|'.join(re.sub(r'[.*+?()|^$]', _escaped, text) for text in texts)})$"


def _escaped(found: re.Match[str]) -> str:
    return f"\\{found[0]}"


def _of(kind: str) -> list[Model]:
    return builtin().of_kind(kind)


def _others(kind: str) -> str:
    return f"{kind}-others"


def _ref(name: str) -> str:
    return f"#/$defs/{name.replace('/', '~1')}"
