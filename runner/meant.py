"""What an author meant where a key is misspelt or a line begins too far to the left: one problem, and not its echoes.

The document is changed to what was meant, so that the rest of it is checked as if it stood there.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Container, Iterator, Sequence
from difflib import get_close_matches
from functools import partial

from . import braces
from .errors import Problem
from .kinds import KINDS
from .model import JSON
from .schema import CONTROL, STEP_ID, model_schema, step_schema, top_schema
from .source import Document, Node

Path = tuple[str, ...]
_BARE = re.compile(r"\s*(inputs|steps)\.(\w+)(?:\.\w+|\[[^\]\s]*\])*\s*\Z")
"""What names a step or an input, and nothing besides."""


def mended(document: Document) -> list[Problem]:
    """The problems of a pipeline that can be mended by reading on as it was meant."""
    return [*_misspelt(document), *_beside(document)]


def without_braces(document: Document) -> list[Problem]:
    """Values that are a template but for its braces, where one may stand: a name alone, or one in single braces."""
    data = document.data if isinstance(document.data, dict) else {}
    steps = data.get("steps")
    found = list(_bare(document, data.get("outputs"), ("outputs",)))
    for name, step in steps.items() if isinstance(steps, dict) else ():
        kind = KINDS.get(str(step.get("kind"))) if isinstance(step, dict) else None
        for key, value in step.items() if kind is not None else ():
            wanted = kind.PARAMS.get(key) if kind is not None else None
            if key == "when":
                found += _half(document, value, ("steps", name, key))
            elif key in _FAN_OUT or (wanted is not None and not wanted.get("plain") and not wanted.get("verbatim")):
                found += _bare(document, value, ("steps", name, key))
    return found


_FAN_OUT = ("foreach", "matrix", "key")


def _half(document: Document, value: JSON, path: tuple[str | int, ...]) -> Iterator[Problem]:
    """A value that is one template with too few braces; without quotes, YAML reads a mapping in it."""
    step = document.data["steps"][path[1]] if path[0] == "steps" else {}
    names = braces.ROOTS if step.keys().isdisjoint(("foreach", "matrix")) else braces.NAMES
    if isinstance(value, str):
        half = braces.in_text(value.strip(), names)
        if half is None or half.length < len(value.strip()):
            return
        expression, message, cure = half.expression, f"This {half.what}.", half.instead
        mark = document.mark_inside(path, half.offset + len(value) - len(value.lstrip()), half.length)
    else:
        expression = _only_key(value)
        if not braces.names(expression, names):
            return
        message, mark = "This looks like a template with a brace missing.", document.mark(path)
        cure = f'Write "{{{{ {expression} }}}}", in quotes.'
    yield Problem("template", message, mark, cure)
    owner = functools.reduce(lambda data, part: data[part], path[:-1], document.data)
    owner[path[-1]] = f"{{{{ {expression} }}}}"


def _only_key(value: JSON) -> str:
    """The key of a mapping that has one, and nothing for it; else nothing."""
    return next(iter(value)) if isinstance(value, dict) and list(value.values()) == [None] else ""


def _bare(document: Document, value: JSON, path: tuple[str | int, ...]) -> Iterator[Problem]:
    if half := list(_half(document, value, path)):
        yield from half
    elif isinstance(value, str) and (named := _BARE.match(value)) and named[2] in _names(document, named[1]):
        message = f"This is the text {value.strip()}, and no template: braces are missing around it."
        yield Problem("template", message, document.mark(path), f'Write "{{{{ {value.strip()} }}}}".')
        owner = functools.reduce(lambda data, part: data[part], path[:-1], document.data)
        owner[path[-1]] = f"{{{{ {value.strip()} }}}}"
    elif path[-1] == "foreach" and isinstance(value, list) and len(value) == 1 and _is_list(document, value[0]):
        name = value[0].strip()
        message = f"This list has one item, the text {name}; what that names is the list."
        yield Problem(
            "template", message, document.mark(path), f'Write "{{{{ {name} }}}}", without brackets or a dash.'
        )
        document.data["steps"][path[1]]["foreach"] = f"{{{{ {name} }}}}"
    elif isinstance(value, dict) and set(value) != {"file"}:
        for key, inner in list(value.items()):
            yield from _bare(document, inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _bare(document, inner, (*path, index))


def _is_list(document: Document, item: JSON) -> bool:
    """Whether the one item of a ``foreach`` names what is probably a list itself, and not one value."""
    named = _BARE.match(item) if isinstance(item, str) else None
    if named is None or named[2] not in _names(document, named[1]):
        return False
    entry = document.data[named[1]][named[2]]
    return named[1] == "steps" or (isinstance(entry, dict) and entry.get("type") == "list")


def _names(document: Document, section: str) -> Container[str]:
    named = document.data.get(section)
    return named if isinstance(named, dict) else ()


def is_meant(key: str, known: Sequence[str], wanted: str) -> bool:
    """Whether an unknown key was meant to be the one that is wanted, of all that are known."""
    return get_close_matches(key, known, n=1, cutoff=0.6) == [wanted]


def renamed(document: Document) -> dict[str, dict[str, str]]:
    """Gives inputs and steps whose names cannot be names, which is told, such as can, of the same length.

    By section, what stands for each: ``{"inputs": {"my-leaf": "my_leaf"}, "steps": {}}``.
    """
    found: dict[str, dict[str, str]] = {"inputs": {}, "steps": {}}
    for section, names in found.items():
        data, node = document.data.get(section), document.node((section,))
        if not isinstance(data, dict) or node is None or not isinstance(node.children, dict):
            continue
        for name in [name for name in data if not re.match(STEP_ID, name)]:
            plain = re.sub(r"\W", "_", name.lower())
            ways = ("_" * n + plain[n:] for n in range(len(plain) + 1))
            meant = next((way for way in ways if way.isidentifier() and way not in data), None)
            if meant is not None and len(meant) == len(name):
                names[name] = meant
        document.data[section] = {names.get(name, name): value for name, value in data.items()}
        node.children = {names.get(name, name): child for name, child in node.children.items()}
    return found


@functools.cache
def _top() -> dict[str, JSON]:
    """What may stand at the top of a pipeline."""
    found: dict[str, JSON] = top_schema()["properties"]
    return found


@functools.cache
def _of_entries() -> dict[str, set[str]]:
    """The keys of an entry of a section, by section."""
    (of_input,) = _top()["inputs"]["patternProperties"].values()
    return {
        "steps": {"kind", "model", *CONTROL, *(name for kind in KINDS.values() for name in kind.PARAMS)},
        "inputs": set(of_input["properties"]),
        "models": set(model_schema()["properties"]),
    }


def _misspelt(document: Document) -> Iterator[Problem]:
    """Sections of the pipeline under a name that is nearly theirs."""
    top = _top()
    for key in [key for key, value in document.data.items() if _is_unknown(key) and isinstance(value, dict)]:
        wanted = next((name for name in top if is_meant(key, list(top), name)), None)
        if wanted is None or wanted in document.data or top[wanted].get("type") != "object":
            continue
        mark = document.mark((key,), key=True)
        yield Problem("unknown-key", f"The pipeline does not know the key {key}.", mark, f"Did you mean {wanted}?")
        _move(document, (), [key], (), rename=wanted)


def _beside(document: Document) -> Iterator[Problem]:
    """What stands beside the key that it belongs to, because its line begins no further in than that key's."""
    yield from _fallen(document, (), _is_of_section)
    for section, known in _of_entries().items():
        yield from _fallen(document, (section,), partial(_is_of_entry, known))
    steps = document.data.get("steps")
    for name, step in steps.items() if isinstance(steps, dict) else ():
        kind = KINDS.get(str(step.get("kind"))) if isinstance(step, dict) and None in step.values() else None
        if kind is not None:
            keys = step_schema(kind)["properties"]
            yield from _fallen(document, ("steps", name), partial(_is_of_key, keys))


def _is_of_section(owner: str, key: str) -> bool:
    return _top().get(owner, {}).get("type") == "object" and _is_unknown(key)


def _is_unknown(key: str) -> bool:
    return key not in _top() and not key.startswith("x-")


def _is_of_entry(known: Container[str], owner: str, key: str) -> bool:
    del owner
    return key in known


def _is_of_key(keys: JSON, owner: str, key: str) -> bool:
    """Whether a key may stand under another of a step, and not in the step."""
    schema = keys.get(owner, {})
    return key not in keys and any(key in way.get("properties", ()) for way in (schema, *schema.get("anyOf", ())))


def _fallen(document: Document, path: Path, belongs: Callable[[str, str], bool]) -> Iterator[Problem]:
    """Keys of a mapping that ``belongs`` says are of the empty one before them, each time with what follows."""
    node, data = document.node(path), document.data
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    if node is None or not isinstance(data, dict) or not isinstance(node.children, dict):
        return
    owner, found = "", dict[str, list[str]]()
    for key, value in data.items():
        if value is None and document.raw((*path, key)) == "":
            owner = key
        elif owner and belongs(owner, key) and not (isinstance(value, dict) and "kind" in value and path):
            found.setdefault(owner, []).append(key)
        else:
            owner = ""
    for above, keys in found.items():
        line = node.children[above][0].start_mark.line + 1
        mark = document.mark((*path, keys[0]), key=True)
        message = f"{keys[0]} stands beside {above}: on line {line}, and not in it."
        what = "this line, and those after it that belong there," if len(keys) > 1 else "this line"
        yield Problem("indentation", message, mark, f"Begin {what} further in than {above}:.")
        _move(document, path, keys, (*path, above))


def _move(document: Document, path: Path, keys: Sequence[str], to: Path, rename: str = "") -> None:
    """Put entries of a mapping into another that is empty, or under another name."""
    data, node = document.data, document.node(path)
    for part in path:
        data = data[part]
    assert node is not None
    assert isinstance(node.children, dict)
    values = {key: data.pop(key) for key in keys}
    nodes = {key: node.children.pop(key) for key in keys}
    if rename:
        data[rename], node.children[rename] = values[keys[0]], nodes[keys[0]]
        return
    name = to[-1]
    first, last = nodes[keys[0]][0], nodes[keys[-1]][1]
    data[name], node.children[name] = values, (node.children[name][0], Node(first, last.end, nodes))
