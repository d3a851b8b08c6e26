"""Text with ``{{ expressions }}`` in, values or text out. Jinja, sandboxed, strict, bounded.

A text that is exactly one ``{{ expression }}`` yields the value itself; anything else is rendered to text, in
which lists and mappings appear as JSON. Jinja's native types are not used: they would turn a model's answer
``42`` into a number.
"""

from __future__ import annotations

import contextlib
import functools
import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jinja2
from jinja2 import nodes
from jinja2.filters import make_attrgetter
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from . import missing
from .errors import TemplateFailed
from .model import JSON, Artifact, Cells, Outputs
from .syntax import TemplateFault, fault_of

MAX_OUTPUT = 1_000_000
"""Characters that a template may yield: no prompt is longer, and a loop that runs away is."""

MAX_WORK = 5_000_000
"""Turns of loops, calls and characters put together that one rendering may take: about a second."""

FILTERS = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "groupby",
    "int", "items", "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace",
    "reverse", "round", "select", "selectattr", "sort", "string", "striptags", "sum", "title", "tojson",
    "trim", "truncate", "unique", "upper", "urlencode", "wordcount", "wordwrap",
)  # fmt: skip
"""Jinja's filters that a prompt can use. Left out: what loads, what formats HTML, what pads without bound."""

OF_WORDS = ("capitalize", "lower", "striptags", "title", "trim", "upper")
"""Those that nobody means for a list or a mapping: the brackets of their JSON would be painted, too."""
_OF_TEXT = (*OF_WORDS, "e", "escape", "truncate", "wordcount")
"""Those that Jinja gives Python's way of writing what is no text. Here they get what `to_text` writes."""

METHODS: Mapping[type[Any], tuple[str, ...]] = {
    str: ("capitalize", "endswith", "lower", "lstrip", "replace", "rstrip", "split", "splitlines", "startswith",
          "strip", "title", "upper"),
    dict: ("get", "items", "keys", "values"),
    list: ("count", "index"),
}  # fmt: skip
GLOBALS = ("range", "dict", "namespace")

_WORK = ""
"""Where a rendering keeps what it has spent: a name that no template can write."""


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja as authors need it: a field of JSON comes before a method of its name, and no work is without end."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        if isinstance(obj, Outputs) and attribute not in METHODS[dict]:
            return missing.of_step(obj, attribute)
        if isinstance(obj, missing.Absent):
            return obj
        if isinstance(obj, Cells) and attribute not in METHODS[list]:
            return next((cell for cell in obj if cell["key"] == attribute), self.undefined(obj=obj, name=attribute))
        if isinstance(obj, Undefined):  # the sandbox comes to the same, after two dozen questions
            obj._fail_with_undefined_error()  # noqa: SLF001 - Jinja's own way to raise the sentence about it
        if isinstance(obj, str) and attribute not in METHODS[str]:
            return self.undefined(obj=obj, name=attribute)
        found = super().getattr(obj, attribute)
        return functools.partial(_replaced, obj) if isinstance(obj, str) and attribute == "replace" else found

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, missing.Absent):
            return obj
        if isinstance(argument, str) and isinstance(obj, str | Outputs):
            return self.getattr(obj, argument)
        if isinstance(argument, str | int) and isinstance(obj, Cells):
            try:
                return obj[argument]
            except LookupError:
                return missing.of_cell(obj, argument)
        return super().getitem(obj, argument)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        for cls, allowed in METHODS.items():
            if isinstance(obj, cls):
                return attr in allowed
        return not isinstance(obj, int | float) and super().is_safe_attribute(obj, attr, value)

    def call(self, context: Context, func: Any, /, *args: Any, **kwargs: Any) -> Any:
        spend(context, 1)
        if func is range:
            spend(context, len(range(*args)))
        elif isinstance(func, functools.partial):
            spend(context, len(func.args[0]))
        return super().call(context, func, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str):
            return _refuse("write the value into the text with {{ }} instead of %")
        if operator == "**":
            return _refuse("** is not available")
        if operator in "*+":
            spend(context, _length(operator, left, right))
        return super().call_binop(context, operator, left, right)

    @jinja2.pass_context
    def concat_texts(self, context: Context, *values: Any) -> str:
        """``a ~ b``: the texts of the values, one after the other."""
        return joined(context, values)

    @jinja2.pass_context
    def turns(self, context: Context, values: Any) -> Iterator[Any]:
        """What a loop runs over, each turn counted."""
        for value in values:
            spend(context, 1)
            yield value


class _Metered(NodeTransformer):
    """Puts `_Environment.turns` around what loops run over, and `_Environment.concat_texts` in the place of ``~``."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802 - Jinja's way to name a visit
        self.generic_visit(node)
        if not node.recursive:
            assert isinstance(node.iter, nodes.Expr)
            node.iter = _call("turns", [node.iter], node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Call:  # noqa: N802
        self.generic_visit(node)
        return _call("concat_texts", node.nodes, node.lineno)


def _call(method: str, args: list[nodes.Expr], line: int) -> nodes.Call:
    owner = nodes.EnvironmentAttribute(method, lineno=line)
    return nodes.Call(owner, args, [], None, None, lineno=line).set_environment(environment())  # type: ignore[return-value] # it gives itself back


def spend(context: Context, units: int) -> None:
    """Count work that a rendering does. `TemplateFailed` when it is more than any prompt needs."""
    work: list[int] = context.parent[_WORK]
    work[0] += units
    if work[0] > MAX_WORK:
        _refuse("it takes too long; make its loops and texts smaller")


def _length(operator: str, left: Any, right: Any) -> int:
    """How long the outcome of an addition or a product is at most."""
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() + right.bit_length()
        return bits if bits < 4096 else MAX_WORK
    sizes = [len(v) for v in (left, right) if hasattr(v, "__len__")]
    times = max((v for v in (left, right) if isinstance(v, int)), default=1) if operator == "*" else 1
    return sum(sizes) * max(times, 1)


@jinja2.pass_context
def joined(context: Context, values: Any, d: Any = "", attribute: Any = None) -> str:
    """The texts of the values with ``d`` between them."""
    if attribute is not None:
        get = make_attrgetter(context.environment, attribute)
        values = (get(value) for value in values)
    texts = []
    for value in values:
        text = to_text(value)
        spend(context, len(text) + len(d))
        texts.append(text)
    return str(d).join(texts)


def _wordwrap(text: Any, width: int = 79) -> str:
    return "\n".join(textwrap.fill(line, max(width, 1)) for line in to_text(text).splitlines())


@jinja2.pass_context
def _sum(context: Context, values: Any, attribute: Any = None, start: float = 0) -> Any:
    """The sum of numbers."""
    if attribute is not None:
        get = make_attrgetter(context.environment, attribute)
        values = (get(value) for value in values)
    return sum(values, start + 0)


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
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()  # noqa: SLF001 - Jinja's own way to raise the sentence about it
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

    size, parts = 0, []
    for part in json.JSONEncoder(ensure_ascii=False, indent=indent, default=leaf).iterencode(value):
        size += len(part)
        if size > MAX_OUTPUT:
            _refuse(f"the text would be longer than {MAX_OUTPUT:,} characters")
        parts.append(part)
    return "".join(parts)


def _of_text(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """A filter, given the text of its value."""
    place = 1 if hasattr(call, "jinja_pass_arg") else 0

    @functools.wraps(call)
    def given(*args: Any, **kwargs: Any) -> Any:
        if name in OF_WORDS and isinstance(args[place], list | tuple | Mapping):
            what, cure = ("mapping", "write a field of it that is text")
            if not isinstance(args[place], Mapping):
                what, cure = ("list", "write | join(', ') before it")
            _refuse(f"{name} needs text; this is a {what}; {cure}")
        return call(*args[:place], to_text(args[place]), *args[place + 1 :], **kwargs)

    return given


@jinja2.pass_context
def _replace(context: Context, text: Any, old: str, new: str, count: int = -1) -> str:
    text = to_text(text)
    spend(context, len(text) + text.count(old) * len(new))
    return _replaced(text, old, new, count)


def _replaced(text: str, old: str, new: str, count: int = -1) -> str:
    if len(text) + text.count(old) * len(new) > MAX_OUTPUT:
        return str(_refuse("the text would be too long"))
    return text.replace(old, new, count)


@functools.cache
def environment() -> _Environment:
    """The one environment. Parsing and compiling share its caches; it holds no state of a run."""
    env = _Environment(
        undefined=missing.Missing,
        finalize=_finalize,
        autoescape=False,
        keep_trailing_newline=True,
        cache_size=0,
    )
    env.filters = {name: env.filters[name] for name in FILTERS}
    env.filters |= {name: _of_text(name, env.filters[name]) for name in _OF_TEXT}
    env.filters["tojson"] = to_json_text
    env.filters["replace"] = _replace
    env.filters["string"] = to_text
    env.filters["join"] = joined
    env.filters["wordwrap"] = _wordwrap
    env.filters["sum"] = _sum
    env.globals = {name: env.globals[name] for name in GLOBALS}
    return env


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A parsed text. Compiled when it is first rendered, because most checks never render."""

    text: str
    tree: nodes.Template
    expression: nodes.Expr | None
    """The one expression of a text that is nothing else."""
    _compiled: list[Callable[[Mapping[str, Any]], Any]] = field(default_factory=list)
    _parts: list[list[str | _Chain] | None] = field(default_factory=list)

    @property
    def parts(self) -> list[str | _Chain] | None:
        """The parts of a text that is only words and chains such as ``steps.a.data[0].title``; None for any other."""
        if not self._parts:
            self._parts.append(_simple(self))
        return self._parts[0]

    @property
    def listed(self) -> int | None:
        """How many items it has, where it is a list that is written out; None where only a run will know."""
        return len(self.expression.items) if isinstance(self.expression, nodes.List) else None

    def starts(self, names: Mapping[str, Any]) -> bool:
        """Whether there is all that its chains begin with; without it, it cannot be rendered."""
        known = environment().globals
        return all(isinstance(part, str) or part[0] in names or part[0] in known for part in self.parts or ())

    def render(self, names: Mapping[str, Any]) -> JSON:
        """The value, or the text. `TemplateFailed` says what could not be had."""
        try:
            if not self._compiled:
                self._compiled.append(_compile(self))
            return self._compiled[0](names)
        except TemplateFailed:
            raise
        except jinja2.UndefinedError as err:
            msg = f"the template reads a value that is not there: {err}"
            raise TemplateFailed(msg) from err
        except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError,
                AttributeError, MemoryError, SyntaxError, AssertionError) as err:  # fmt: skip
            msg = f"the template cannot be rendered: {err}"
            raise TemplateFailed(msg) from err

    def locate(self, words: tuple[str, ...], line: int) -> tuple[int, int]:
        """Offset and length of the tokens ``words`` (``('steps', 'facts', 'titel')``) at or after ``line``.

        The mark is put under the last of them.
        """
        seen: list[tuple[str, int, int]] = []
        fields: set[int] = set()
        offset, dot = 0, False
        for number, kind, value in environment().lex(self.text):
            if kind in ("name", "string", "integer") and number >= line:
                seen.append((value.strip("'\""), offset, len(value)))
                fields |= {offset} if dot else set()
            offset += len(value)
            dot = value == "." or (dot and kind == "whitespace")
        wanted = list(words)
        for i in range(len(seen) - len(wanted) + 1 if wanted else 0):
            if seen[i][1] not in fields and [word for word, _, _ in seen[i : i + len(wanted)]] == wanted:
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
        raise fault_of(text, err, environment()) from err
    except RecursionError as err:
        raise TemplateFault("it is nested too deeply", "Write it in smaller parts.", 0, 2) from err
    return Template(text, tree, _only_expression(tree))


def parse_tree(value: JSON, faults: Callable[[tuple[str | int, ...], TemplateFault], None]) -> Tree:
    """`parse` for every text inside a value; faults are told with the path to the text, which then is `anything`."""
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
            return anything()
    if isinstance(value, dict):
        return {k: _parse_tree(v, (*path, k), faults) for k, v in value.items()}
    if isinstance(value, list):
        return [_parse_tree(v, (*path, i), faults) for i, v in enumerate(value)]
    return value


@functools.cache
def anything() -> Template:
    """What stands for a value that has a problem, so that what reads it has none."""
    return parse("{{ dict() }}")


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


def texts_of(tree: Tree, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every text of a tree as it was written, templates among them, with the path to it."""
    match tree:
        case str() | Template():
            yield path, tree if isinstance(tree, str) else tree.text
        case Mapping():
            for key, value in tree.items():
                yield from texts_of(value, (*path, key))
        case list():
            for index, value in enumerate(tree):
                yield from texts_of(value, (*path, index))


def _metered(text: str) -> nodes.Template:
    """The tree that is compiled: read anew, because the one that is looked at stays as the author wrote it."""
    tree = environment().parse(text)
    _Metered().visit(tree)
    return tree


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
    if (parts := template.parts) is not None:
        return _walk_of(parts, whole=template.expression is not None)
    if template.expression is not None:
        return _compile_expression(template)
    compiled = environment().from_string(_metered(template.text))

    def text(names: Mapping[str, Any]) -> str:
        size, parts = 0, []
        for part in compiled.root_render_func(compiled.new_context({**names, _WORK: [0]})):
            size += len(part)
            if size > MAX_OUTPUT:
                _refuse(f"the text would be longer than {MAX_OUTPUT:,} characters")
            parts.append(part)
        return "".join(parts)

    return text


_Chain: TypeAlias = tuple[str, tuple[tuple[bool, Any], ...]]
"""A name, and the fields and items that are read from it: ``(is_field, which)``."""


def _simple(template: Template) -> list[str | _Chain] | None:
    # Most templates are. Walking a chain takes microseconds; having Jinja compile it takes most of a millisecond.
    parts: list[str | _Chain] = []
    for node in template.tree.body:
        if not isinstance(node, nodes.Output):
            return None
        for part in node.nodes:
            if isinstance(part, nodes.TemplateData):
                parts.append(part.data)
            elif (chain := _chain(part)) is not None:
                parts.append(chain)
            else:
                return None
    return parts


def _chain(node: nodes.Node) -> _Chain | None:
    reads: list[tuple[bool, Any]] = []
    while not isinstance(node, nodes.Name):
        match node:
            case nodes.Getattr():
                reads.append((True, node.attr))
            case nodes.Getitem(arg=nodes.Const(value=str() | int() as wanted)):
                reads.append((False, wanted))
            case _:
                return None
        node = node.node
    return node.name, tuple(reversed(reads))


def _walk_of(parts: Sequence[str | _Chain], *, whole: bool) -> Callable[[Mapping[str, Any]], Any]:
    """What Jinja would compile the parts to: the same look-ups in the same sandbox."""
    env = environment()

    def read(chain: _Chain, names: Mapping[str, Any]) -> Any:
        name, reads = chain
        value = names[name] if name in names else env.globals.get(name, env.undefined(name=name))
        for is_field, wanted in reads:
            value = env.getattr(value, wanted) if is_field else env.getitem(value, wanted)
        return value

    def text(names: Mapping[str, Any]) -> str:
        said = "".join(part if isinstance(part, str) else to_text(read(part, names)) for part in parts)
        if len(said) > MAX_OUTPUT:
            _refuse(f"the text would be longer than {MAX_OUTPUT:,} characters")
        return said

    if not whole:
        return text
    only = next(part for part in parts if not isinstance(part, str))
    return lambda names: _plain_value(read(only, names))


def partly(template: Template, names: Mapping[str, Any]) -> str:
    """The text of a template as far as ``names`` have what it reads: the rest stays as it was written."""
    if template.parts is None:
        return template.text.strip()
    said, known = "", environment().globals
    for part in template.parts:
        if isinstance(part, str):
            said += part
            continue
        value = None
        if part[0] in names or part[0] in known:  # asking first: an error costs more than all the rest
            with contextlib.suppress(TemplateFailed, jinja2.UndefinedError):
                value = to_text(_walk_of([part], whole=True)(names))
        said += "{{ " + _written(part) + " }}" if value is None else value
    return said.strip()


def _written(part: _Chain) -> str:
    """A chain as an author writes it."""
    return part[0] + "".join(f".{which}" if is_field else f"[{which!r}]" for is_field, which in part[1])


def _compile_expression(template: Template) -> Callable[[Mapping[str, Any]], Any]:
    # The way of Environment.compile_expression, on the tree that is already parsed.
    expression = _only_expression(_metered(template.text))
    assert expression is not None
    body: list[nodes.Node] = [nodes.Assign(nodes.Name("value", "store"), expression, lineno=1)]
    tree = nodes.Template(body, lineno=1)
    tree.set_environment(environment())
    compiled = environment().from_string(tree)

    def value(names: Mapping[str, Any]) -> JSON:
        context = compiled.new_context({**names, _WORK: [0]})
        for _ in compiled.root_render_func(context):
            pass
        return _plain_value(context.vars["value"])

    return value


def _plain_value(value: Any) -> JSON:
    """Generators of filters such as ``map`` become lists; JSON stays what it is, and all of it must be there."""
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()  # noqa: SLF001 - Jinja's own way to raise the sentence about it
    if isinstance(value, str | int | float | bool | Artifact) or value is None:
        return value
    if isinstance(value, Mapping):
        return {k: _plain_value(v) for k, v in value.items()}
    if hasattr(value, "__iter__"):
        return [_plain_value(v) for v in value]
    return str(value)
