"""What an operator, a filter or a method is given in, why it cannot work with that out, in the words of authors.

Only what cannot work with any value of these types is told: of what could be anything, nothing can be.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from jinja2 import nodes

from .errors import counted, nearest
from .shape import Shape
from .templates import OF_WORDS

Visit = Callable[[nodes.Node], Shape]


@dataclass(frozen=True, slots=True)
class Wrong:
    """A sentence, what to write instead, and the part of the expression that it is about."""

    message: str
    instead: str
    node: nodes.Node
    code: str = "type"


LONGEST = 100_000
"""How far Jinja's sandbox lets ``range`` count."""

_SORTS = {"integer": "number", "number": "number", "boolean": "number", "string": "text", "array": "list",
          "object": "mapping", "null": "null"}  # fmt: skip
SIGNS: Mapping[type[nodes.BinExpr], str] = {
    nodes.Add: "+", nodes.Sub: "-", nodes.Mul: "*", nodes.Div: "/", nodes.FloorDiv: "//", nodes.Mod: "%",
    nodes.Pow: "**",
}  # fmt: skip
_ORDERS = {"gt": ">", "gteq": ">=", "lt": "<", "lteq": "<="}
_COUNTED = "Write | int behind the text, if it is a number."


def _sort(shape: Shape) -> str | None:
    """Which sort of value this is for certain; None where it could be of several."""
    sorts = {_SORTS.get(each) for each in shape.types}
    return sorts.pop() if len(sorts) == 1 else None


def _together(left: Shape, right: Shape, sign: str) -> str:
    return f"{str(left).capitalize()} and {right} do not go together with {sign}."


# -- operators ------------------------------------------------------------------------------------------


def binary(node: nodes.BinExpr, left: Shape, right: Shape) -> Wrong | None:
    """Why the two sides of an operator do not go together."""
    sign, sorts = SIGNS.get(type(node), ""), (_sort(left), _sort(right))
    if sign == "**":
        return Wrong("** is not available.", "Write the product: x * x.", node.left, "template")
    if sign == "%" and sorts[0] == "text":
        return Wrong("% puts no values into a text here.", "Write {{ }} where the value belongs.", node.left)
    if sign in ("/", "//", "%") and isinstance(node.right, nodes.Const) and node.right.value in (0, 0.0):
        return Wrong("This divides by 0.", "Divide by another number.", node.left)
    if not sign or None in sorts or _go_together(sign, str(sorts[0]), str(sorts[1])):
        return None
    cure = "Write a field of it that is a number."
    if sign == "+" and set(sorts) == {"text", "number"}:
        cure = "Write ~ for + to put them together as text, or | int behind the text, if it is a number."
    elif set(sorts) <= {"text", "number"}:
        cure = _COUNTED
    elif sign == "+" and "list" in sorts:
        cure = "Write [ ] around what is put to the list."
    return Wrong(_together(left, right, sign), cure, node.left)


def _go_together(sign: str, left: str, right: str) -> bool:
    if left == right == "number" or (sign == "+" and left == right and left in ("text", "list")):
        return True
    return sign == "*" and {left, right} in ({"text", "number"}, {"list", "number"})


def number(node: nodes.Expr, *sides: Shape) -> Shape:
    """Which sort of number an operator makes: of integers one, of others any; a quotient is never an integer."""
    if isinstance(node, nodes.Div):
        return Shape({"type": "number"})
    if all(side.types == {"integer"} for side in sides):
        return Shape({"type": "integer"})
    fraction = any(side.types == {"number"} for side in sides)
    return Shape({"type": "number" if fraction else ["integer", "number"]})


def condition(node: nodes.Node | None, shown: Callable[[nodes.Node], str]) -> Wrong | None:
    """Why a part of a condition says the same whatever the values are: a text that is compared with nothing."""
    sides: list[nodes.Node] = []
    open_ = [node]
    while open_:
        each = open_.pop()
        if isinstance(each, nodes.And | nodes.Or):
            open_ += [each.right, each.left]
        elif each is not None:
            sides.append(each)
    alone = next((s for s in sides if isinstance(s, nodes.Const) and isinstance(s.value, str)), None)
    if alone is None or len(sides) == 1:
        return None
    other = next((s for s in sides if isinstance(s, nodes.Compare) and s.ops[0].op in ("eq", "ne")), None)
    cure = "Compare it with something: VALUE == 'TEXT'."
    if other is not None and (chain := shown(other.expr)) != "this":
        cure = f"Write {chain} {'==' if other.ops[0].op == 'eq' else '!='} '{alone.value}'."
    return Wrong(f"'{alone.value}' is compared with nothing here.", cure, alone)


def comparison(node: nodes.Compare, visit: Visit) -> Wrong | None:
    """Why two values that are compared have no order, or one of them cannot stand in the other."""
    left_node, left = node.expr, visit(node.expr)
    found: Wrong | None = None
    for operand in node.ops:
        right = visit(operand.expr)
        found = found or _compared(operand.op, left_node, left, operand.expr, right)
        left_node, left = operand.expr, right
    return found


def _compared(op: str, left_node: nodes.Node, left: Shape, right_node: nodes.Node, right: Shape) -> Wrong | None:
    sorts = _sort(left), _sort(right)
    if None in sorts:
        return None
    if op in ("eq", "ne") and set(sorts) == {"text", "number"}:
        message = f"{str(left).capitalize()} and {right} are never the same."
        return Wrong(message, _alike(left_node, right_node, left, right), _marked(left_node, right_node))
    if op in _ORDERS and (sorts[0] != sorts[1] or sorts[0] in ("mapping", "null")):
        cure = "Compare two numbers, or two texts."
        if set(sorts) == {"text", "number"}:
            cure = _alike(left_node, right_node, left, right)
        return Wrong(_together(left, right, _ORDERS[op]), cure, _marked(left_node, right_node))
    if op in ("in", "notin") and (sorts[1] in ("number", "null") or (sorts[1] == "text" and sorts[0] != "text")):
        cure = "Write | string behind what is looked for." if sorts[1] == "text" else "Write a list: in [1, 2]."
        message = f"{str(left).capitalize()} cannot stand in {right}."
        return Wrong(message, cure, _marked(left_node, right_node))
    return None


def _alike(left_node: nodes.Node, right_node: nodes.Node, left: Shape, right: Shape) -> str:
    """How a text and a number that are compared become two of a sort: by its quotes, where one of them is written."""
    for node, other in ((left_node, right), (right_node, left)):
        said = node.value if isinstance(node, nodes.Const) else None
        if isinstance(said, str) and (said.isdecimal() or (said in ("true", "false") and other.types == {"boolean"})):
            return f"Write {said} without quotes."
        if isinstance(said, int | float) and not isinstance(said, bool):
            return f"Write '{said}' in quotes, or | int behind the text, if it is a number."
    return _COUNTED


def _marked(left: nodes.Node, right: nodes.Node) -> nodes.Node:
    return right if isinstance(left, nodes.Const) else left


# -- loops ----------------------------------------------------------------------------------------------


def unpacked(node: nodes.For, over: Shape) -> Wrong | None:
    """Why the items of a list are not as many names each as a loop has for them."""
    if not isinstance(node.target, nodes.Tuple):
        return None
    count = len(node.target.items)
    if _sort(over) == "mapping":
        if not over.fields or any(len(name) == count for name in over.fields) or over.open:
            return None
        return Wrong("A loop over a mapping has its names only.", "Write .items() behind it.", node.iter)
    items = over.items if over.types == {"array"} else Shape()
    if _sort(items) not in ("text", "number") or "enum" in items.schema or "const" in items.schema:
        return None
    return Wrong(f"Each item of this list is {items}, and {count} names stand for it.",
                 "Write one name between for and in.", node.iter)  # fmt: skip


def counts(node: nodes.Call, shapes: Sequence[Shape]) -> Wrong | None:
    """Why ``range`` cannot count so."""
    if node.kwargs or node.dyn_args or node.dyn_kwargs:
        return None
    if not 1 <= len(node.args) <= 3:
        return Wrong(f"range() gets {counted(len(node.args), 'value')}.", "Write range(3), or range(1, 4).", node.node,
                     "template")  # fmt: skip
    for shape in shapes:
        if _sort(shape) not in (None, "number"):
            return Wrong(f"range() counts numbers; this is {shape}.",
                         "Write | int behind it, if it is a number." if _sort(shape) == "text" else
                         "Write | length behind it, or leave range() out.", node.node)  # fmt: skip
    numbers = [arg.value for arg in node.args if isinstance(arg, nodes.Const) and type(arg.value) is int]
    if len(numbers) == len(node.args) and numbers[2:] != [0] and len(range(*numbers)) > LONGEST:
        return Wrong(f"This counts {len(range(*numbers)):,} numbers, and range() counts {LONGEST:,} at most.",
                     "Count fewer.", node.node, "template")  # fmt: skip
    return None


# -- filters --------------------------------------------------------------------------------------------

_EXAMPLES: Mapping[str, str] = {
    "default": "default('none')", "d": "d('none')", "groupby": "groupby('kind')", "int": "int", "join": "join(', ')",
    "map": "map(attribute='title')", "reject": "reject('none')", "rejectattr": "rejectattr('sold')",
    "replace": "replace('old', 'new')", "round": "round(2)", "select": "select('string')",
    "selectattr": "selectattr('sold')", "sum": "sum(attribute='price')", "truncate": "truncate(80)",
    "wordwrap": "wordwrap(60)",
}  # fmt: skip
_SEQUENCES = ("count", "first", "groupby", "join", "last", "length", "list", "map", "max", "min", "reject",
              "rejectattr", "reverse", "select", "selectattr", "sort", "sum", "unique")  # fmt: skip
_OF_NOTHING = ("map", "reject", "rejectattr", "select", "selectattr")
"""Filters that make an empty list of null."""
_TAKES: Mapping[tuple[str, int], str] = {
    ("join", 0): "text", ("replace", 0): "text", ("replace", 1): "text", ("round", 0): "number", ("trim", 0): "text",
    ("truncate", 0): "number", ("truncate", 2): "text", ("wordwrap", 0): "number",
}  # fmt: skip
"""What values a filter cannot do without being given, by their places."""
_WORKS: Mapping[str, tuple[str, ...]] = {"join": ("list", "mapping"), "round": ("null",), "trim": ("null",)}
"""What works in its place all the same."""
_A = {"text": "text", "number": "a number"}


def filtered(node: nodes.Filter, call: Callable[..., object], value: Shape, args: Sequence[Shape]) -> Wrong | None:
    """Why a filter cannot work with its value, or with what stands in its brackets."""
    if (wrong := _arguments(node, call)) is not None and not (node.name in _OF_NOTHING and _sort(value) == "null"):
        return wrong
    example = _EXAMPLES.get(node.name, node.name)
    for place, shape in enumerate(args):
        wanted, sort = _TAKES.get((node.name, place)), _sort(shape)
        if wanted is not None and sort not in (None, wanted, *_WORKS.get(node.name, ())):
            return Wrong(f"{node.name} needs {_A[wanted]} in its brackets; this is {shape}.",
                         f"Write | {example}.", node)  # fmt: skip
    return _value(node, value)


def _value(node: nodes.Filter, value: Shape) -> Wrong | None:
    sort, name = _sort(value), node.name
    if sort is None:
        return None
    if name in _SEQUENCES and (sort == "number" or (sort == "null" and name not in _OF_NOTHING)):
        return Wrong(f"{name} needs a list or text; this is {value}.", f"Leave out | {name}.", node)
    if name == "sum" and (sort == "text" or (sort == "list" and not node.args and not node.kwargs
                                             and _sort(value.items) in ("text", "list", "mapping"))):  # fmt: skip
        of = "text" if sort == "text" else f"a list in which each item is {value.items}"
        cure = "Write | join(', ') to put texts together."
        if _sort(value.items) == "mapping":
            cure = "Write | sum(attribute='NAME') to count one of their fields."
        return Wrong(f"sum adds numbers; this is {of}.", cure, node)
    if name in ("abs", "round") and sort != "number":
        cure = "Write | float before it, if it is a number." if sort == "text" else f"Leave out | {name}."
        return Wrong(f"{name} needs a number; this is {value}.", cure, node)
    if name in ("items", "dictsort") and sort != "mapping":
        return Wrong(f"{name} needs a mapping; this is {value}.", f"Leave out | {name}.", node)
    if name == "truncate" and sort == "null":
        return Wrong(f"truncate needs text; this is {value}.", "Leave out | truncate.", node)
    if name in OF_WORDS and sort in ("list", "mapping"):
        cure = "Write | join(', ') before it." if sort == "list" else "Write a field of it that is text."
        return Wrong(f"{name} needs text; this is {value}.", cure, node)
    return None


def _arguments(node: nodes.Filter, call: Callable[..., object]) -> Wrong | None:
    """Why there are too many values in the brackets of a filter, too few, or some by names that it does not have."""
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        return None
    example = f"Write | {_EXAMPLES.get(node.name, node.name)}."
    if node.name in ("map", "selectattr", "rejectattr") and not node.args and not node.kwargs:
        return Wrong(f"{node.name} does not say of which field.", example, node, "template")
    try:
        known = list(inspect.signature(call).parameters.values())
    except ValueError:  # a filter of C that does not tell
        return None
    known = known[2 if hasattr(call, "jinja_pass_arg") else 1 :]
    if any(each.kind == each.VAR_POSITIONAL for each in known):
        return None
    names = [each.name for each in known]
    given = {str(keyword.key) for keyword in node.kwargs}
    if unknown := sorted(given - set(names)):
        cure = nearest(unknown[0], names) or f"Write | {node.name}, without brackets."
        return Wrong(f"The filter {node.name} knows no {unknown[0]}=.", cure, node, "template")
    needed = [each.name for each in known if each.default is each.empty]
    lacking = [name for name in needed[len(node.args) :] if name not in given]
    if len(node.args) > len(names) or lacking:
        most = (
            "none" if not names else str(len(needed)) if len(needed) == len(names) else f"{len(needed)} to {len(names)}"
        )
        if lacking:
            most = str(len(needed))
        has = len(node.args) + len(given)
        return Wrong(
            f"The filter {node.name} takes {most} in its brackets, and this has {has}.", example, node, "template"
        )
    return None


# -- methods --------------------------------------------------------------------------------------------

_METHODS: Mapping[str, Mapping[str, tuple[int, int, str]]] = {
    "text": {
        "capitalize": (0, 0, ""), "endswith": (1, 3, "'.'"), "lower": (0, 0, ""), "lstrip": (0, 1, ""),
        "replace": (2, 3, "'old', 'new'"), "rstrip": (0, 1, ""), "split": (0, 2, "', '"), "splitlines": (0, 1, ""),
        "startswith": (1, 3, "'A'"), "strip": (0, 1, ""), "title": (0, 0, ""), "upper": (0, 0, ""),
    },
    "list": {"count": (1, 1, "'tea'"), "index": (1, 3, "'tea'")},
}  # fmt: skip
"""How many values a method takes, at least and at most, and what one writes."""
_OF_TEXT = ("endswith", "lstrip", "replace", "rstrip", "split", "startswith", "strip")


def called(node: nodes.Call, owner: Shape, args: Sequence[Shape]) -> Wrong | None:
    """Why a method cannot work with what stands in its brackets."""
    assert isinstance(node.node, nodes.Getattr)
    name, known = node.node.attr, _METHODS.get(_sort(owner) or "", {})
    if name not in known or node.kwargs or node.dyn_args is not None or node.dyn_kwargs is not None:
        return None
    least, most, example = known[name]
    if not least <= len(args) <= most:
        wanted = "none" if not most else f"{least}" if least == most else f"{least} to {most}"
        return Wrong(f"{name}() takes {wanted} in its brackets, and this has {len(args)}.",
                     f"Write .{name}({example}).", node, "template")  # fmt: skip
    for place, shape in enumerate(args[: 2 if name == "replace" else 1]):
        sort = _sort(shape)
        if (
            name in _OF_TEXT
            and sort not in (None, "text")
            and not (sort == "null" and name not in ("replace", "endswith"))
        ):
            return Wrong(f"{name}() needs text in its brackets; this is {args[place]}.",
                         f"Write .{name}({example}).", node)  # fmt: skip
    return None


# -- what other languages have --------------------------------------------------------------------------

_FILTER_OF: Mapping[str, Mapping[str, str]] = {
    "text": {
        "length": "length", "len": "length", "upper": "upper", "toUpperCase": "upper",
        "uppercase": "upper", "lower": "lower", "toLowerCase": "lower", "lowercase": "lower",
        "capitalize": "capitalize", "strip": "trim", "trim": "trim", "first": "first", "last": "last",
        "truncate": "truncate(80)", "replaceAll": "replace('old', 'new')", "toString": "string", "reverse": "reverse",
    },
    "list": {
        "length": "length", "len": "length", "size": "length", "count": "length", "join": "join(', ')",
        "first": "first", "last": "last", "sort": "sort", "sorted": "sort", "reverse": "reverse", "map": "map",
        "sum": "sum", "min": "min", "max": "max", "unique": "unique",
    },
    "number": {
        "round": "round", "toString": "string", "toFixed": "round(2)", "abs": "abs",
    },
}  # fmt: skip


def filter_meant(owner: Shape, name: str, whole: str) -> str:
    """The filter that does what a field or a method of another language does, as one writes it; else nothing."""
    found = _FILTER_OF.get(_sort(owner) or "", {}).get(name)
    return f"Write {whole} | {found}." if found else ""


_FUNCTIONS: Mapping[str, str] = {
    "len": "length", "str": "string", "int": "int", "float": "float", "list": "list", "sorted": "sort", "sum": "sum",
    "min": "min", "max": "max", "abs": "abs", "round": "round", "reversed": "reverse", "upper": "upper",
    "lower": "lower", "trim": "trim", "length": "length", "count": "length", "first": "first", "last": "last",
    "json": "tojson", "title": "title", "string": "string", "unique": "unique", "join": "join(', ')",
    "replace": "replace('old', 'new')",
}  # fmt: skip


def function_meant(node: nodes.Call, argument: str) -> str:
    """The filter that does what a function of another language does, as one writes it; else nothing."""
    name = node.node.name if isinstance(node.node, nodes.Name) else ""
    return f"Write {'VALUE' if argument == 'this' else argument} | {_FUNCTIONS[name]}." if name in _FUNCTIONS else ""
