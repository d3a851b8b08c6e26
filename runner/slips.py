"""A document with a slip of its author's in, one problem for it out, and the document as it was meant.

As `meant` does for keys that are misspelt; here for keys that are right and stand wrong: without a blank behind their
colon, in the wrong part of the file, or in a step of another kind.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from . import misreading
from .catalogue import builtin
from .errors import Problem, nearest
from .kinds import KINDS
from .model import JSON
from .schema import CONTROL, step_schema, top_schema
from .source import Document, Node, read_scalar

Path = tuple[str | int, ...]

_ELSEWHERE = ("headers", "policy", "base_url", "api_key_env", "pick", "<<")
"""Keys that are told for what they are."""

_NO_SPACE = re.compile(r"([A-Za-z_]\w*):(?!//)(\S.*)\Z", re.DOTALL)
"""A key and its value, run together."""


def mended(document: Document) -> list[Problem]:
    """The problems of slips that can be mended by reading on as it was meant."""
    return [
        *_cut_at_commas(document),
        *_without_space(document),
        *_merged(document),
        *_fallen_in(document),
        *_kinds_by_another_name(document),
        *_of_another_kind(document),
    ]


def of_another_sort(document: Document) -> Problem | None:
    """What is wrong with a file that is none of a pipeline, but of something that belongs to one."""
    data = document.data
    if not isinstance(data, dict) or not data or "steps" in data:
        return None
    if isinstance(data.get("cases"), dict):
        what, cure = "This file holds cases, so it is a test.", "Name the pipeline; runner test runs the cases."
    elif isinstance(data.get("models"), list):
        what, cure = (
            "This file holds a list of models, so it is a catalogue.",
            "Name the pipeline, and this as --catalogue.",
        )
    elif not any(key in _top() or _holds_steps(value) for key, value in data.items()):
        what = "This file has no name: and no steps:, so it is no pipeline."
        cure = "Name the pipeline. If these are values of its inputs, name this as --inputs."
    else:
        return None
    mark = document.mark((next(iter(data)),), key=True)
    return Problem("type", what, mark, cure)


def _holds_steps(value: JSON) -> bool:
    found = [value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return any(isinstance(each, dict) and not _of_steps_alone().isdisjoint(each) for each in found)


@functools.cache
def _of_steps_alone() -> frozenset[str]:
    return frozenset(["kind", "model", "prompt"])


@functools.cache
def _top() -> Mapping[str, JSON]:
    found: Mapping[str, JSON] = top_schema()["properties"]
    return found


def renamed(document: Document, path: Path, key: str, wanted: str) -> None:
    """Puts what stands under a key under the one that was meant."""
    owner: Any = functools.reduce(lambda data, part: data[part], path, document.data)
    owner[wanted] = owner.pop(key)
    node = document.node(path)
    if node is not None and isinstance(node.children, dict):
        node.children[wanted] = node.children.pop(key)


def in_place_of(schema: Mapping[str, JSON], given: Mapping[str, JSON]) -> tuple[str, tuple[str, ...]] | None:
    """The one unknown key of a mapping that can stand in the place of the one that it cannot do without; and what that
    is called, or may be. None where there is no such pair.
    """
    known = schema.get("properties", {})
    lacking = [(name,) for name in schema.get("required", ()) if name not in given]
    ways = [way["anyOf"] for way in (schema, *schema.get("allOf", ())) if "anyOf" in way]
    groups = [tuple(each["required"][0] for each in way) for way in ways if all(set(e) == {"required"} for e in way)]
    lacking += [names for names in groups if not any(name in given for name in names)]
    if schema.get("additionalProperties") is not False or "patternProperties" in schema or len(lacking) != 1:
        return None
    fits = [key for key in given if key not in known and key not in _ELSEWHERE and not _is_near(key, known)
            and Draft202012Validator(known.get(lacking[0][0], {})).is_valid(given[key])]  # fmt: skip
    return (fits[0], lacking[0]) if len(fits) == 1 else None


def _is_near(key: str, known: Mapping[str, JSON]) -> bool:
    return nearest(key, list(known)).startswith("Did")


# -- a comma in a text in braces ------------------------------------------------------------------------


def _cut_at_commas(document: Document) -> Iterator[Problem]:
    """Texts, numbers and lists in braces whose commas would need quotes, a point or brackets: what is behind the comma
    is a key without a colon.
    """
    for path, node in mappings(document):
        if not getattr(node.start, "flow_style", False) or not isinstance(node.children, dict):
            continue
        before, behind = "", list[str]()
        for key in [*node.children, ""]:
            if key and before and _is_bare(document, node.children[key]):
                behind.append(key)
                continue
            if behind:
                yield from _joined(document, (*path, before), behind)
            before, behind = key, []


def _is_bare(document: Document, child: tuple[Any, Node]) -> bool:
    """Whether a key has no colon behind it."""
    event, value = child
    if event.style or getattr(value.start, "value", None) != "":
        return False
    end = event.end_mark.index
    return document.text[end : end + 100].lstrip()[:1] != ":"


def _joined(document: Document, path: Path, behind: Sequence[str]) -> Iterator[Problem]:
    """A value with the keys that are more of it."""
    node, owner_node, key = document.node(path), document.node(path[:-1]), str(path[-1])
    owner: Any = functools.reduce(lambda data, part: data[part], path[:-1], document.data)
    raw = document.raw(path)
    if node is None or owner_node is None or not raw or node.start.style:
        return
    children = owner_node.children
    assert isinstance(children, dict)
    start, end = node.start.start_mark.index, children[behind[-1]][0].end_mark.index
    text = document.text[start:end]
    meant: JSON
    whole = replace(document.mark(path), length=end - start)
    comma = document.mark_inside(path, 0, 1)
    comma = replace(comma, column=comma.column + node.start.end_mark.index - start)
    if key in _LISTS or path[-2:-1] == ("matrix",):
        meant = [read_scalar(each.strip()) for each in text.split(",")]
        yield Problem("type", f"{key} must be a list; this is a text with commas.", whole, f"Write {key}: [{text}].")
    elif re.fullmatch(r"-?\d+,\d+", text):
        meant = float(text.replace(",", "."))
        yield Problem("yaml", "A comma cannot stand in a number.", comma, f"Write {key}: {text.replace(',', '.')}.")
    elif " " in raw or key in _TEXTS:
        meant = text
        cure = f"Write {key}: {misreading.quoted(text)}."
        yield Problem("yaml", "A text without quotes ends at this comma.", comma, cure)
    else:
        return
    owner[key] = meant
    for each in behind:
        del owner[each], children[each]


_LISTS = ("enum", "examples", "required", "needs", "after", "images", "show", "foreach")
_TEXTS = ("description", "prompt", "text", "system", "question", "title", "negative_prompt")
"""Keys whose values are lists, and texts for readers or models."""


# -- a kind under another name --------------------------------------------------------------------------


def _kinds_by_another_name(document: Document) -> Iterator[Problem]:
    """``Kind: edit_image``, ``type: edit_image``."""
    steps = document.data.get("steps")
    for name, step in steps.items() if isinstance(steps, dict) else ():
        if not isinstance(step, dict) or "kind" in step:
            continue
        said = {key: value for key, value in step.items() if isinstance(value, str)}
        ways = [key for key, value in said.items() if value in KINDS and key not in of_steps()]
        ways = ways or [key for key in said if key not in of_steps() and _is_near(key.lower(), {"kind": None})]
        if len(ways) == 1:
            cure = f"Write kind: {said[ways[0]]}." if said[ways[0]] in KINDS else "Did you mean kind?"
            mark = document.mark(("steps", name, ways[0]), key=True)
            yield Problem("unknown-key", f"The step {name} does not know the key {ways[0]}.", mark, cure)
            renamed(document, ("steps", name), ways[0], "kind")


# -- a blank that is missing ----------------------------------------------------------------------------


def _without_space(document: Document) -> Iterator[Problem]:
    for path, node in mappings(document):
        children = node.children
        assert isinstance(children, dict)
        for key, (event, _) in list(children.items()):
            found = _NO_SPACE.match(key) if not getattr(event, "style", None) and ":" in key else None
            if found is None or document.raw((*path, key)) != "" or found[1] in children:
                continue
            word, said = found[1], found[2]
            mark = document.mark((*path, key), key=True)
            yield Problem("unknown-key", f"A blank is missing behind {word}:.", mark, f"Write {word}: {said}.")
            owner: Any = functools.reduce(lambda data, part: data[part], path, document.data)
            del owner[key], children[key]
            owner[word] = read_scalar(said)
            value = yaml.ScalarEvent(None, None, (True, False), said, _later(event.start_mark, len(word) + 1),
                                     event.end_mark)  # fmt: skip
            children[word] = (event, Node(value, value))


def _later(mark: Any, by: int) -> Any:
    return yaml.Mark(mark.name, mark.index + by, mark.line, mark.column + by, None, 0)


def mappings(document: Document) -> Iterator[tuple[Path, Node]]:
    """Every mapping of a document, and where it is."""
    left: list[tuple[Path, Node]] = [((), document.root)] if document.root is not None else []
    while left:
        path, node = left.pop()
        if isinstance(node.children, dict):
            yield path, node
            left += [((*path, name), child) for name, (_, child) in node.children.items()]
        elif node.children:
            left += [((*path, index), child) for index, child in enumerate(node.children)]


# -- merge keys -----------------------------------------------------------------------------------------


def _merged(document: Document) -> Iterator[Problem]:
    for path, node in mappings(document) if "<<" in document.text else ():
        children = node.children
        assert isinstance(children, dict)
        owner: Any = functools.reduce(lambda data, part: data[part], path, document.data)
        inner = document.node((*path, "<<"))
        if "<<" not in children or inner is None:
            continue
        said = owner["<<"] if isinstance(owner["<<"], list) else [owner["<<"]]
        nodes = inner.children if isinstance(inner.children, list) else [inner]
        if not all(isinstance(each, dict) for each in said):
            continue
        mark = document.mark((*path, "<<"), key=True)
        keys = ", ".join(f"{name}:" for name in dict.fromkeys(name for each in said for name in each)) or "the keys"
        yield Problem("unknown-key", "<< is not read here: YAML 1.2 has no merge keys.", mark,
                      f"Write {keys} here, without <<.")  # fmt: skip
        del owner["<<"], children["<<"]
        for each, node_of in zip(said, nodes, strict=True):
            for name, child in node_of.children.items() if isinstance(node_of.children, dict) else ():
                if name not in owner:
                    owner[name], children[name] = each[name], child


# -- what stands among the steps ------------------------------------------------------------------------


def _fallen_in(document: Document) -> Iterator[Problem]:
    """``outputs:`` that begins as far in as a step."""
    steps, node = document.data.get("steps"), document.node(("steps",))
    if not isinstance(steps, dict) or node is None or not isinstance(node.children, dict):
        return
    said = steps.get("outputs")
    if "outputs" not in steps or "outputs" in document.data or len(steps) == 1:
        return
    names = list(steps)
    after = names[names.index("outputs") + 1 :]
    if isinstance(said, dict) and said and not any(name in of_steps() for name in said):
        beside = []
    elif said is None and document.raw(("steps", "outputs")) == "" and after and not _steps_among(steps, after):
        beside = after
    else:
        return
    mark = document.mark(("steps", "outputs"), key=True)
    line = _line_of(document, "steps")
    yield Problem("indentation", f"outputs: stands among the steps, and not beside steps: on line {line}.", mark,
                  "Begin this line as far in as steps:.")  # fmt: skip
    root = document.root
    assert root is not None
    assert isinstance(root.children, dict)
    root.children["outputs"] = own = node.children.pop("outputs")
    document.data["outputs"] = {name: steps.pop(name) for name in beside} if beside else steps["outputs"]
    del steps["outputs"]
    if beside:
        inner = {name: node.children.pop(name) for name in beside}
        root.children["outputs"] = (own[0], Node(inner[beside[0]][0], inner[beside[-1]][1].end, inner))


def _steps_among(steps: Mapping[str, JSON], names: Sequence[str]) -> bool:
    """Whether one of these may be a step: a mapping with a key of steps, or nothing yet."""
    return any(value is None or (isinstance(value, dict) and any(key in of_steps() for key in value))
               for value in (steps[name] for name in names))  # fmt: skip


@functools.cache
def of_steps() -> frozenset[str]:
    return frozenset(["kind", "model", *CONTROL, *(name for kind in KINDS.values() for name in kind.PARAMS)])


def _line_of(document: Document, section: str) -> int:
    return document.mark((section,), key=True).line


# -- a step of another kind -----------------------------------------------------------------------------


def _of_another_kind(document: Document) -> Iterator[Problem]:
    """Steps that are right in all but their kind."""
    steps = document.data.get("steps")
    for name, step in steps.items() if isinstance(steps, dict) else ():
        kind = step.get("kind") if isinstance(step, dict) else None
        if not isinstance(kind, str) or kind not in KINDS:
            continue
        strangers = [key for key in step if key not in _keys(kind)]
        lacks = any(not any(word in step for word in group) for group in KINDS[kind].REQUIRED)
        if len(strangers) < 2 and (strangers or not lacks):
            continue
        model = builtin().find(_model(document, step))
        ways = [way for way in KINDS if way != kind and _validator(way).is_valid({**step, "kind": way})]
        if model is not None and model.known:
            ways = [way for way in ways if model.serves(way)] if not model.serves(kind) or strangers else []
        elif not strangers:
            ways = []
        if len(ways) != 1 or any(_is_near(key, _keys(kind)) for key in strangers):
            continue
        if strangers:
            what = f"A step of {kind} does not know {', '.join(strangers[:-1])} and {strangers[-1]}."
        else:
            assert model is not None
            lacking = next(g for g in KINDS[kind].REQUIRED if not any(word in step for word in g))
            what = f"{kind} needs {' or '.join(lacking)}, which is not here, and {model.id} is a model for {ways[0]}."
        code = "unknown-key" if strangers else "model"
        yield Problem(code, what, document.mark(("steps", name, "kind")), f"Write kind: {ways[0]}.")
        step["kind"] = ways[0]


def _model(document: Document, step: Mapping[str, JSON]) -> str:
    """The id of the model that a step names, itself or by an alias; empty where there is none."""
    name, models = step.get("model"), document.data.get("models")
    alias = models.get(name) if isinstance(models, dict) and isinstance(name, str) else None
    said = alias.get("model") if isinstance(alias, dict) else name
    return said if isinstance(said, str) else ""


@functools.cache
def _keys(kind: str) -> Mapping[str, JSON]:
    found: Mapping[str, JSON] = step_schema(KINDS[kind])["properties"]
    return found


@functools.cache
def _validator(kind: str) -> Draft202012Validator:
    return Draft202012Validator(step_schema(KINDS[kind]))
