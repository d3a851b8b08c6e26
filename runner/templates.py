"""Text with ``{{ expressions }}`` in, values or text out. Jinja, sandboxed, strict, bounded.

A text that is exactly one ``{{ expression }}`` yields the value itself; anything else is rendered to text, in
which lists and mappings appear as JSON. Jinja's native types are not used: they would turn a model's answer
``42`` into a number.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jinja2
from jinja2 import nodes
from jinja2.runtime import Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from .errors import TemplateFailed
from .model import JSON, Artifact

MAX_OUTPUT = 1_000_000
"""Characters that a template may yield: no prompt is longer, and a loop that runs away is."""

FILTERS = (
    "abs", "batch", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "groupby",
    "int", "items", "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace",
    "reverse", "round", "select", "selectattr", "slice", "sort", "string", "striptags", "sum", "title", "tojson",
    "trim", "truncate", "unique", "upper", "urlencode", "wordcount", "wordwrap",
)  # fmt: skip
"""Jinja's filters that a prompt can use. Left out: what loads, what formats HTML, what pads without bound."""

METHODS: Mapping[type[Any], tuple[str, ...]] = {
    str: ("capitalize", "endswith", "lower", "lstrip", "replace", "rstrip", "split", "splitlines", "startswith",
          "strip", "title", "upper"),
    dict: ("get", "items", "keys", "values"),
    list: ("count", "index"),
}  # fmt: skip
GLOBALS = ("range", "dict", "namespace")

_BOUNDED = frozenset({"*", "**", "%"})


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja as authors need it: a field of JSON comes before a method of the same name."""

    intercepted_binops = _BOUNDED

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        for cls, allowed in METHODS.items():
            if isinstance(obj, cls):
                return attr in allowed
        return super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str):
            return _refuse("write the value into the text with {{ }} instead of %")
        if operator == "**":
            return _refuse("** is not available")
        if operator == "*":
            long = max((len(v) for v in (left, right) if hasattr(v, "__len__")), default=0)
            times = max((v for v in (left, right) if isinstance(v, int)), default=0)
            if long * times > MAX_OUTPUT:
                return _refuse("the text would be too long")
        return super().call_binop(context, operator, left, right)


def _refuse(message: str) -> Any:
    raise TemplateFailed(message)


def _finalize(value: Any) -> Any:
    if isinstance(value, str | Undefined):
        return value
    return to_text(value)


def to_text(value: JSON) -> str:
    """How a value appears in text. `TemplateFailed` for a file or a null, which have no text."""
    if isinstance(value, str):
        return value
    if isinstance(value, Artifact):
        return str(_refuse("a file has no text; write .path, .url or .sha256 after it"))
    if value is None:
        return str(_refuse("the value is null, which has no text; write | default('…', true) for another text"))
    if isinstance(value, bool | int | float | list | tuple | Mapping):
        return to_json_text(value)
    return str(value)


def to_json_text(value: Any, indent: int | None = None) -> str:
    """A value as JSON for a reader: letters stay letters. `TemplateFailed` for a file inside it."""

    def leaf(inner: Any) -> Any:
        if isinstance(inner, Mapping):
            return dict(inner)
        if isinstance(inner, Undefined):
            inner._fail_with_undefined_error()  # noqa: SLF001 - Jinja's own way to raise the sentence about it
        if isinstance(inner, Artifact):
            return _refuse("a file has no JSON; write .path, .url or .sha256 after it")
        return list(inner) if hasattr(inner, "__iter__") else str(inner)

    return json.dumps(value, ensure_ascii=False, indent=indent, default=leaf)


def _replace(text: str, old: str, new: str, count: int | None = None) -> str:
    text = str(text)
    if len(text) + text.count(old) * len(new) > MAX_OUTPUT:
        return str(_refuse("the text would be too long"))
    return text.replace(old, new) if count is None else text.replace(old, new, count)


@functools.cache
def environment() -> _Environment:
    """The one environment. Parsing and compiling share its caches; it holds no state of a run."""
    env = _Environment(
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        autoescape=False,
        keep_trailing_newline=True,
        cache_size=0,
    )
    env.filters = {name: env.filters[name] for name in FILTERS}
    env.filters["tojson"] = to_json_text
    env.filters["replace"] = _replace
    env.filters["string"] = to_text
    env.globals = {name: env.globals[name] for name in GLOBALS}
    return env


class TemplateFault(ValueError):
    """A template that cannot be read: the sentence, and the 1-based line inside the template."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A parsed text. Compiled when it is first rendered, because most checks never render."""

    text: str
    tree: nodes.Template
    expression: nodes.Expr | None
    """The one expression of a text that is nothing else."""
    _compiled: list[Callable[[Mapping[str, Any]], Any]] = field(default_factory=list)

    def render(self, names: Mapping[str, Any]) -> JSON:
        """The value, or the text. `TemplateFailed` says what could not be had."""
        if not self._compiled:
            self._compiled.append(_compile(self))
        try:
            return self._compiled[0](names)
        except TemplateFailed:
            raise
        except jinja2.UndefinedError as err:
            msg = f"the template reads a value that is not there: {err}"
            raise TemplateFailed(msg) from err
        except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as err:
            msg = f"the template cannot be rendered: {err}"
            raise TemplateFailed(msg) from err

    def locate(self, words: tuple[str, ...], line: int) -> tuple[int, int]:
        """Offset and length of the tokens ``words`` (``('steps', 'facts', 'titel')``) at or after ``line``.

        The mark is put under the last of them.
        """
        seen: list[tuple[str, int, int]] = []
        offset = 0
        for number, kind, value in environment().lex(self.text):
            if kind in ("name", "string", "integer") and number >= line:
                seen.append((value.strip("'\""), offset, len(value)))
            offset += len(value)
        wanted = list(words)
        for i in range(len(seen) - len(wanted) + 1):
            if [word for word, _, _ in seen[i : i + len(wanted)]] == wanted:
                return seen[i + len(wanted) - 1][1:]
        for word, at, length in seen:
            if wanted and word == wanted[-1]:
                return at, length
        start = len("\n".join(self.text.split("\n")[: line - 1])) + (line > 1)
        return start, len(self.text[start:].split("\n", 1)[0])


Tree: TypeAlias = Any
"""JSON in which each text that holds a template is a `Template`."""


def is_template(text: str) -> bool:
    return "{{" in text or "{%" in text or "{#" in text


def parse(text: str) -> Template:
    """Read a template. `TemplateFault` if its syntax is wrong."""
    try:
        tree = environment().parse(text)
    except jinja2.TemplateSyntaxError as err:
        raise TemplateFault(_plain(err.message or "it cannot be read"), err.lineno) from err
    return Template(text, tree, _only_expression(tree))


def parse_tree(value: JSON, faults: Callable[[tuple[str | int, ...], TemplateFault], None]) -> Tree:
    """`parse` for every text inside a value; faults are told with the path to the text."""
    return _parse_tree(value, (), faults)


def _parse_tree(
    value: JSON, path: tuple[str | int, ...], faults: Callable[[tuple[str | int, ...], TemplateFault], None]
) -> Tree:
    if isinstance(value, str):
        if not is_template(value):
            return value
        try:
            return parse(value)
        except TemplateFault as fault:
            faults(path, fault)
            return ""
    if isinstance(value, dict):
        return {k: _parse_tree(v, (*path, k), faults) for k, v in value.items()}
    if isinstance(value, list):
        return [_parse_tree(v, (*path, i), faults) for i, v in enumerate(value)]
    return value


def render_tree(tree: Tree, names: Mapping[str, Any]) -> JSON:
    """The value of a tree whose templates see ``names``."""
    if isinstance(tree, Template):
        return tree.render(names)
    if isinstance(tree, dict):
        return {k: render_tree(v, names) for k, v in tree.items()}
    if isinstance(tree, list):
        return [render_tree(v, names) for v in tree]
    return tree


def templates_of(tree: Tree, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Template]]:
    """Every template of a tree, with the path to it."""
    if isinstance(tree, Template):
        yield path, tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from templates_of(value, (*path, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from templates_of(value, (*path, index))


def _only_expression(tree: nodes.Template) -> nodes.Expr | None:
    found: nodes.Expr | None = None
    for node in tree.body:
        if not isinstance(node, nodes.Output):
            return None
        for part in node.nodes:
            if isinstance(part, nodes.TemplateData):
                if part.data.strip():
                    return None
            elif found is not None:
                return None
            else:
                found = part
    return found


def _compile(template: Template) -> Callable[[Mapping[str, Any]], Any]:
    if template.expression is not None:
        return _compile_expression(template)
    env = environment()
    compiled = env.from_string(template.tree)

    def text(names: Mapping[str, Any]) -> str:
        size, parts = 0, []
        for part in compiled.root_render_func(compiled.new_context(dict(names))):
            size += len(part)
            if size > MAX_OUTPUT:
                _refuse(f"the text would be longer than {MAX_OUTPUT:,} characters")
            parts.append(part)
        return "".join(parts)

    return text


def _compile_expression(template: Template) -> Callable[[Mapping[str, Any]], Any]:
    # The way of Environment.compile_expression, on the tree that is already parsed.
    body: list[nodes.Node] = [nodes.Assign(nodes.Name("value", "store"), template.expression, lineno=1)]
    tree = nodes.Template(body, lineno=1)
    tree.set_environment(environment())
    compiled = environment().from_string(tree)

    def value(names: Mapping[str, Any]) -> JSON:
        context = compiled.new_context(dict(names))
        for _ in compiled.root_render_func(context):
            pass
        found = context.vars["value"]
        if isinstance(found, Undefined):
            found._fail_with_undefined_error()  # noqa: SLF001 - Jinja's own way to raise the sentence about it
        return _plain_value(found)

    return value


def _plain_value(value: Any) -> JSON:
    """Generators of filters such as ``map`` become lists; what is JSON stays what it is."""
    if isinstance(value, str | int | float | bool | Artifact | Mapping | list) or value is None:
        return value
    if hasattr(value, "__iter__"):
        return [_plain_value(v) for v in value]
    return str(value)


def _plain(message: str) -> str:
    """Jinja's sentence without its jargon."""
    message = message.rstrip(".")
    return {
        "unexpected 'end of template'": "it ends too early",
        "Expected an expression, got 'end of print statement'": "nothing stands between {{ and }}",
    }.get(message, message)
