"""A template and the shapes of its names in; the shape it yields, what it reads and what is wrong with it out.

The walk follows loops, filters
and assignments, so ``{% for k in steps.facts.data.keywords %}{{ k.nmae }}`` is found before anything runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import nodes

from . import operands
from .errors import counted, nearest
from .model import JSON
from .shape import ANY, Shape
from .templates import GLOBALS, METHODS, Template, environment

_TEXT, _NUMBER, _INTEGER, _FLAG = {"type": "string"}, {"type": "number"}, {"type": "integer"}, {"type": "boolean"}
_NUMBERS = {"integer", "number"}
_YIELDS: dict[str, JSON] = {
    **dict.fromkeys(("capitalize", "e", "escape", "join", "lower", "replace", "string", "striptags", "title",
                     "tojson", "trim", "truncate", "upper", "urlencode", "wordwrap"), _TEXT),
    **dict.fromkeys(("count", "length", "wordcount", "int"), _INTEGER),
    **dict.fromkeys(("float", "round"), _NUMBER),
}  # fmt: skip
_KEEPS = {"list", "sort", "unique", "reverse", "select", "reject", "selectattr", "rejectattr"}
_LOOP: JSON = {
    "properties": {
        **dict.fromkeys(("index", "index0", "revindex", "revindex0", "length", "depth", "depth0"), _INTEGER),
        **dict.fromkeys(("first", "last"), _FLAG),
        **{name: {} for name in ("previtem", "nextitem", "cycle", "changed")},
    },
    "additionalProperties": False,
    "$loop": True,
}
"""What ``loop`` has inside of a loop."""
CELL_NAMES = ("item", "index", "key", "matrix")
"""Names that only the templates of a fanned-out step have."""

_OF_JSON = ("fromjson", "parsejson", "jsonparse", "jsonloads", "loads", "jsondecode", "todict", "object", "dict")
"""What other languages call the filter that reads JSON."""
PARSED = "Read JSON out of a text with a parse_json step."
_TYPES: Mapping[type, str] = {dict: "object", list: "array", str: "string"}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong in a template, before it has a place in a file."""

    code: str
    message: str
    instead: str
    words: tuple[str, ...]
    """The tokens to mark, the last one under the caret."""
    line: int


@dataclass(frozen=True, slots=True)
class Inference:
    """What reading a template tells: the shape it yields, the steps it reads, what is wrong."""

    shape: Shape
    steps: tuple[str, ...]
    inputs: tuple[str, ...]
    findings: tuple[Finding, ...]
    names: frozenset[str] = frozenset()
    """Which of the names that it was given it uses."""
    all_inputs: bool = False
    """Whether it reads the inputs as a whole, so that none can be told to be unread."""


def steps_read(template: Template) -> list[str]:
    """The steps that a template names."""
    found: list[str] = []
    for node in template.tree.find_all((nodes.Getattr, nodes.Getitem)):
        match node:
            case nodes.Getattr(node=nodes.Name(name="steps"), attr=name):
                found.append(name)
            case nodes.Getitem(node=nodes.Name(name="steps"), arg=nodes.Const(value=name)):
                found.append(str(name))
    return found


def fields_read(template: Template) -> list[tuple[str, str]]:
    """The fields of steps that a template needs to be there: step and field; not those that it has a default for."""
    spared = {
        id(inner)
        for each in template.tree.find_all(nodes.Filter)
        if each.name in ("default", "d") and each.node is not None
        for inner in (each.node, *each.node.find_all(nodes.Getattr))
    }
    found: list[tuple[str, str]] = []
    for node in template.tree.find_all(nodes.Getattr):
        match node:
            case nodes.Getattr(node=nodes.Getattr(node=nodes.Name(name="steps"), attr=step), attr=name):
                if id(node) not in spared:
                    found.append((step, name))
    return found


def fields_of_item(template: Template) -> list[str]:
    """The fields of the item at hand that a template reads."""
    called = {id(node.node) for node in template.tree.find_all(nodes.Call)}
    found = (node for node in template.tree.find_all(nodes.Getattr) if id(node) not in called)
    return [node.attr for node in found if isinstance(node.node, nodes.Name) and node.node.name == "item"]


def inputs_read(template: Template) -> list[str] | None:
    """The inputs that a template names, where it reads nothing else; None where it does."""
    found: list[str] = []
    for node in template.tree.find_all((nodes.Getattr, nodes.Getitem)):
        match node:
            case nodes.Getattr(node=nodes.Name(name="inputs"), attr=str() as name):
                found.append(name)
            case nodes.Getitem(node=nodes.Name(name="inputs"), arg=nodes.Const(value=str() as name)):
                found.append(name)
    named = [node.name for node in template.tree.find_all(nodes.Name)]
    return found if named == ["inputs"] * len(found) else None


def infer(template: Template, names: Mapping[str, Shape], *, condition: bool = False) -> Inference:
    """Walk a template whose names have these shapes. What it yields may be a ``condition``."""
    walk = _Walk(dict(names))
    if template.expression is not None:
        shape = walk.visit(template.expression)
        if condition:
            walk.wrong(operands.condition(template.expression, shown))
    else:
        walk.body(template.tree.body)
        shape = Shape(_TEXT)
    return Inference(
        shape, tuple(walk.steps), tuple(walk.inputs), tuple(walk.findings), frozenset(walk.used), walk.whole > 0
    )


class _Walk:
    """One pass over the tree of one template."""

    def __init__(self, names: dict[str, Shape]) -> None:
        self.names = names
        self.given = tuple(names)
        self.steps: dict[str, None] = {}
        self.inputs: dict[str, None] = {}
        self.findings: list[Finding] = []
        self.used: set[str] = set()
        self.whole = 0
        """How often the inputs are read without the name of one."""
        self.spared = 0
        """How many of the filters and tests around stand in for what is not there."""

    # -- statements ---------------------------------------------------------------------------------

    def body(self, statements: Sequence[nodes.Node]) -> None:
        for node in statements:
            self.statement(node)

    def statement(self, node: nodes.Node) -> None:
        match node:
            case nodes.Output():
                for part in node.nodes:
                    if not isinstance(part, nodes.TemplateData):
                        self.in_text(part)
            case nodes.If():
                self.visit(node.test)
                self.wrong(operands.condition(node.test, shown))
                self.branches([node.body, node.elif_, node.else_])
            case nodes.For():
                self.loop(node)
            case nodes.Assign():
                self.assign(node.target, self.visit(node.node))
            case nodes.AssignBlock():
                self.body(node.body)
                self.assign(node.target, Shape(_TEXT))
            case nodes.With():
                with_names = [self.visit(value) for value in node.values]
                with _Scope(self):
                    for target, shape in zip(node.targets, with_names, strict=True):
                        self.assign(target, shape)
                    self.body(node.body)
            case nodes.Macro():
                self.names[node.name] = ANY
                with _Scope(self):
                    for argument in node.args:
                        self.names[argument.name] = ANY
                    self.body(node.body)
            case nodes.FilterBlock() | nodes.CallBlock():
                self.body(node.body)
            case nodes.ExprStmt():
                self.visit(node.node)
            case _:
                word = type(node).__name__.lower()
                self.add("template", f"{{% {word} %}} is not available in a pipeline.",
                         "Write the text here, or in a file: prompt: {file: …}.", (word,), node.lineno)  # fmt: skip

    def branches(self, bodies: Sequence[Sequence[nodes.Node]]) -> None:
        """Statements of which some run and some do not: what is not the same after each of them can be anything."""
        before, ends = dict(self.names), [dict(self.names)]
        for body in bodies:
            self.names = dict(before)
            self.body(body)
            ends.append(self.names)
        merged: dict[str, Shape] = {}
        for end in ends:
            for name, shape in end.items():
                merged[name] = shape if merged.get(name, shape) == shape else ANY
        self.names = merged

    def loop(self, node: nodes.For) -> None:
        over = self.visit(node.iter)
        if over.artifact or (over.types and over.types <= {"integer", "number", "boolean", "null"}):
            instead = f"Write range({shown(node.iter)}) to count." if over.types == {"integer"} else ""
            self.add("type", f"A loop needs a list; this is {over}.", instead, chain_of(node.iter), node.lineno)
        self.wrong(operands.unpacked(node, over))
        if over.record and (field := _field_of(node)):
            self.one_cell(node.iter, f"Write {shown(node.iter)}.{field}, without the loop.")
        with _Scope(self):
            self.names["loop"] = Shape(_LOOP)
            self.assign(node.target, over.items if "array" in over.types else ANY)
            if node.test is not None:
                self.visit(node.test)
                self.wrong(operands.condition(node.test, shown))
            self.body(node.body)
        self.body(node.else_)

    def assign(self, target: nodes.Node, shape: Shape) -> None:
        if isinstance(target, nodes.Name):
            self.names[target.name] = shape
        elif isinstance(target, nodes.Tuple):
            for item in target.items:
                self.assign(item, ANY)

    def in_text(self, node: nodes.Node) -> None:
        """An expression in the middle of text: a file or a null has no text."""
        shape = self.visit(node)
        if shape.artifact:
            self.add("type", f"This is {shape}, which has no text.",
                     "Write .path, .url or .sha256 after it, or make it the whole value.",
                     chain_of(node), node.lineno)  # fmt: skip
        elif shape.files:
            self.add("type", "This holds a file, which has no text.", _fields_of(shape), chain_of(node), node.lineno)
        elif whole := record_in_text(shape, shown(node)):
            self.add("type", f"This is {whole[0]}.", whole[1], chain_of(node), node.lineno)
        elif shape.types == {"null"}:
            words = chain_of(node) or ("none",)
            self.add("type", "This is always null, which has no text.", "Remove it, or write text.", words, node.lineno)

    # -- expressions --------------------------------------------------------------------------------

    def visit(self, node: nodes.Node) -> Shape:
        match node:
            case nodes.Name():
                return self.name(node)
            case nodes.Getattr():
                return self.field(node.node, node.attr, node)
            case nodes.Getitem():
                return self.item(node)
            case nodes.Filter():
                return self.filter(node)
            case nodes.Test():
                return self.test(node)
            case nodes.Call():
                return self.call(node)
            case nodes.Const():
                return Shape({"const": node.value})
            case nodes.TemplateData():
                return Shape(_TEXT)
            case nodes.CondExpr():
                self.visit(node.test)
                self.wrong(operands.condition(node.test, shown))
                return self.either([node.expr1, *([node.expr2] if node.expr2 else [])])
            case nodes.And() | nodes.Or():
                return self.either([node.left, node.right])
            case nodes.Compare():
                self.wrong(operands.comparison(node, self.visit))
                return Shape(_FLAG)
            case nodes.Not():
                self.children(node)
                return Shape(_FLAG)
            case nodes.Concat():
                for part in node.nodes:
                    self.in_text(part)
                return Shape(_TEXT)
            case nodes.List() | nodes.Tuple():
                shapes = [self.visit(item) for item in node.items]
                same = shapes and all(s == shapes[0] for s in shapes)
                return Shape(
                    {"type": "array", "items": shapes[0].schema if same else {}}, shapes[0].root if same else {}
                )
            case nodes.Dict():
                pairs = [(pair.key, self.visit(pair.value)) for pair in node.items]
                named = {k.value: s.schema for k, s in pairs if isinstance(k, nodes.Const)}
                return Shape({"type": "object", "properties": named, "additionalProperties": len(named) < len(pairs)})
            case nodes.Div() | nodes.Sub() if words := _path_of(node, self.names):
                sign = operands.SIGNS[type(node)]
                self.add("template", f"{sign} divides here; it leads to no field."
                         if sign == "/" else f"{sign} subtracts here; it leads to no field.",
                         f"Write {'.'.join(words)}.", words, node.lineno)  # fmt: skip
                return ANY
            case nodes.Add() | nodes.Mul():
                sides = self.visit(node.left), self.visit(node.right)
                self.wrong(operands.binary(node, *sides))
                return operands.number(node, *sides) if all(s.types and s.types <= _NUMBERS for s in sides) else ANY
            case nodes.BinExpr():
                sides = self.visit(node.left), self.visit(node.right)
                self.wrong(operands.binary(node, *sides))
                return operands.number(node, *sides)
            case nodes.UnaryExpr():
                return operands.number(node, self.visit(node.node))
        self.children(node)
        return ANY

    def wrong(self, found: operands.Wrong | None) -> None:
        """Note why something cannot work with what it is given."""
        if found is not None:
            words = chain_of(found.node) or tuple(str(each.value) for each in found.node.find_all(nodes.Const))[:1]
            if isinstance(found.node, nodes.Const):
                words = (str(found.node.value),)
            if isinstance(found.node, nodes.Filter):
                words = (found.node.name,)
            self.add(found.code, found.message, found.instead, words, found.node.lineno)

    def children(self, node: nodes.Node) -> None:
        for child in node.iter_child_nodes():
            self.visit(child)

    def name(self, node: nodes.Name) -> Shape:
        if node.name in self.names:
            self.used.add(node.name)
            self.whole += node.name == "inputs"
            return self.names[node.name]
        if node.name == "item" and "matrix" in self.names:
            axes = " or ".join(f"matrix.{name}" for name in self.names["matrix"].fields[:3])
            self.add("unknown-name", "There is no item here: the step has matrix: and no foreach:.",
                     f"Write {axes or 'a field of matrix'}.", (node.name,), node.lineno)  # fmt: skip
        elif node.name in CELL_NAMES:
            self.add("unknown-name", f"There is no {node.name} here: the step has no foreach: or matrix:.",
                     "Add foreach: or matrix: to the step.", (node.name,), node.lineno)  # fmt: skip
        elif node.name not in GLOBALS:
            owners = [root for root in ("steps", "inputs", "env") if node.name in self.names.get(root, ANY).fields]
            near = nearest(node.name, [*self.given, *(n for n in self.names if n not in self.given)])
            instead = _either([f"{root}.{node.name}" for root in owners]) or near
            self.add("unknown-name", f"There is no name {node.name} in templates.", instead, (node.name,), node.lineno)
        return ANY

    def field(self, owner: nodes.Node, name: str, node: nodes.Node) -> Shape:
        shape = self.visit(owner)
        where = chain_of(node)
        if shape.steps:
            self.steps[name] = None
        elif isinstance(owner, nodes.Name) and owner.name == "inputs" and "inputs" in self.given:
            self.inputs[name] = None
            self.whole -= 1
        found = shape.field(name)
        if found is not None:
            return found
        if self.spared and "$rows" in shape.schema:
            return ANY
        whole = shown(owner)
        if shape.steps:
            self.add(
                "unknown-step",
                f"There is no step {name}.",
                nearest(name, shape.fields) or "Add it under steps:.",
                where,
                node.lineno,
            )
        elif whole == "inputs":
            instead = nearest(name, shape.fields) or "Declare it under inputs:."
            self.add("unknown-input", f"There is no input {name}.", instead, where, node.lineno)
        elif whole == "env":
            instead = nearest(name, shape.fields) or f"Add env: [{name}] to the pipeline."
            self.add("unknown-env", f"{name} is not listed under env:.", instead, where, node.lineno)
        elif shape.cells:
            inner, read = shape.items.way_to(name), shape.items.field(name)
            ways = [f"{whole}[0].{inner} for the first"]
            ways += [f"{whole}['{shape.keys[-1]}'].{inner} for the one called so"] if shape.keys else []
            if read is None or not read.files:  # a loop yields text, and a file has none
                ways.append(f"{{% for cell in {whole} %}} for all")
            last = f", or {ways.pop()}" if len(ways) > 1 else ""
            self.add("fanned-out", f"{whole} makes several cells, and {name} is a field of each.",
                     f"Write {', '.join(ways)}{last}.", where, node.lineno)  # fmt: skip
        elif meant := operands.filter_meant(shape, name, whole):
            self.add("unknown-field", f"{whole} is {shape}; it has no field {name}.", meant, where, node.lineno)
        elif shape.types == {"array"}:
            self.add("unknown-field", f"{whole} is a list; it has no field {name}.",
                     "Use [0] for one item or a {% for %} loop for all.", where, node.lineno)  # fmt: skip
        elif shape.types and "object" not in shape.types and not shape.artifact:
            instead = PARSED if shape.types == {"string"} else f"Write {whole}."
            self.add("unknown-field", f"{whole} is {shape}; it has no field {name}.", instead, where, node.lineno)
        else:
            none = f"Add {name}: under matrix:." if whole == "matrix" else f"Remove .{name}: it has none at all."
            inside = _either([f"{whole}.{way}" for way in shape.ways_to(name)])
            if named := shape.by_cell:
                none = f"It has {' and '.join(named)} for each cell: write the name that one of them has."
            instead = inside or ("" if name in named else nearest(name, shape.fields)) or none
            self.add("unknown-field", f"{whole} has no field {name}.", instead, where, node.lineno)
        return ANY

    def item(self, node: nodes.Getitem) -> Shape:
        if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            if (cells := self.visit(node.node)).cells:
                if cells.keys is not None and node.arg.value not in cells.keys:
                    self.add("unknown-cell", f"{shown(node.node)} has no cell {node.arg.value}.",
                             nearest(node.arg.value, cells.keys), chain_of(node), node.lineno)  # fmt: skip
                return cells.items
            return self.field(node.node, node.arg.value, node)
        owner = self.visit(node.node)
        if owner.steps:
            self.add("unknown-step", "A step must be named in the template, so that its edge is known.",
                     "Write steps.NAME.", chain_of(node.node), node.lineno)  # fmt: skip
            return ANY
        if isinstance(node.arg, nodes.Slice):
            self.children(node.arg)
            return owner.some
        self.visit(node.arg)
        number = node.arg.value if isinstance(node.arg, nodes.Const) else None
        if owner.keys is not None and type(number) is int and number >= len(owner.keys):
            self.add("unknown-cell",
                     f"{shown(node.node)} has {counted(len(owner.keys), 'cell')}, and none at {number}.",
                     nearest(f"[{number}]", [f"[{n}]" for n in range(len(owner.keys))]) or "Its list is empty.",
                     chain_of(node), node.lineno)  # fmt: skip
        if owner.types == {"object"} and isinstance(node.arg, nodes.Const):
            whole, known = shown(node.node), owner.schema.get("properties", {})
            if type(number) is int and number not in known and owner.schema.get("additionalProperties") is not True:
                ways = nearest("", [f"{whole}.{name}" for name in owner.fields][:4])
                self.add("unknown-field", f"{whole} is a mapping and no list; it has no [{number}].",
                         f"Leave out [{number}]. {ways}".strip(), chain_of(node), node.lineno)  # fmt: skip
            return ANY
        return owner.items if owner.types and owner.types <= {"array", "string"} else ANY

    def call(self, node: nodes.Call) -> Shape:
        args = [self.visit(argument) for argument in node.args]
        for argument in node.kwargs:
            self.visit(argument.value)
        if isinstance(node.node, nodes.Getattr):
            owner = self.visit(node.node.node)
            names = [m for cls, methods in METHODS.items() if _TYPES[cls] in owner.types for m in methods]
            if "$loop" in owner.schema:
                self.visit(node.node)
                return ANY
            if owner.types and node.node.attr not in names:
                message = f"This is {owner}, which has no method {node.node.attr}()."
                cure = operands.filter_meant(owner, node.node.attr, shown(node.node.node))
                if shown(node.node.node) == "inputs" and owner.field(node.node.attr) is not None:
                    cure = f"Write inputs.{node.node.attr}, without ()."
                self.add("template", message, cure or nearest(node.node.attr, names), chain_of(node.node), node.lineno)
            self.wrong(operands.called(node, owner, args))
            return Shape(_TEXT) if owner.types == {"string"} and node.node.attr in _YIELDS else ANY
        meant = operands.function_meant(node, shown(node.args[0]) if node.args else "this")
        if meant and isinstance(node.node, nodes.Name) and node.node.name not in self.names:
            self.add("unknown-name", f"There is no function {node.node.name}() in templates.", meant,
                     (node.node.name,), node.lineno)  # fmt: skip
            return ANY
        self.visit(node.node)
        if isinstance(node.node, nodes.Name) and node.node.name == "range" and "range" not in self.names:
            self.wrong(operands.counts(node, args))
            return Shape({"type": "array", "items": _INTEGER})
        return ANY

    def filter(self, node: nodes.Filter) -> Shape:
        self.spared += node.name in ("default", "d")
        value = self.visit(node.node) if node.node is not None else Shape(_TEXT)
        self.spared -= node.name in ("default", "d")
        args = [self.visit(argument) for argument in node.args]
        for argument in node.kwargs:
            self.visit(argument.value)
        known = environment().filters
        if node.name not in known:
            instead = nearest(node.name, sorted(known))
            if node.name.lower().replace("_", "") in _OF_JSON:
                instead = PARSED
            self.add("unknown-filter", f"There is no filter {node.name}.", instead, (node.name,), node.lineno)
            return ANY
        self.wrong(operands.filtered(node, known[node.name], value, args))
        return self.filtered(node, value)

    def filtered(self, node: nodes.Filter, value: Shape) -> Shape:
        if value.artifact and node.name in _YIELDS:
            self.add("type", f"This is {value}, which has no text.", "Write .path, .url or .sha256 after it.",
                     chain_of(node.node) if node.node else (), node.lineno)  # fmt: skip
        elif value.files and _YIELDS.get(node.name) == _TEXT:
            self.add("type", "This holds a file, which has no text.", _fields_of(value),
                     chain_of(node.node) if node.node else (), node.lineno)  # fmt: skip
        attribute = self.attribute(node)
        if node.name == "join" and attribute is None and (whole := record_in_text(value.some, shown(node.node))):
            self.add("type", f"This is {whole[0]}.", whole[1], chain_of(node.node), node.lineno)
        if attribute is not None and "array" in value.types:
            shape = value.items
            for part in attribute.split("."):
                found = shape.field(part) if not part.isdigit() else ANY
                if found is None:
                    self.add("unknown-field", f"The items of this list have no field {part}.",
                             nearest(part, shape.fields), (attribute,), node.lineno)  # fmt: skip
                    return ANY
                shape = found
            if node.name == "map":
                return Shape({"type": "array", "items": shape.schema}, shape.root)
        if node.name == "map" and attribute is not None and value.record and len(node.kwargs) == 1:
            self.one_cell(node.node, f"Write [{shown(node.node)}.{attribute}].")
            return ANY
        if node.name in _YIELDS:
            return Shape(_YIELDS[node.name])
        if node.name in ("first", "last", "min", "max"):
            return value.items if value.types == {"array"} else ANY
        if node.name in ("default", "d"):
            other = self.visit(node.args[0]) if node.args else Shape(_TEXT)
            return value if other.types and other.types <= value.types else ANY
        if node.name in _KEEPS:
            return value.some if value.types == {"array"} else Shape({"type": "array"})
        return ANY

    def one_cell(self, node: nodes.Node | None, cure: str) -> None:
        """Tell that a step of one cell, or one cell of several, is read as if it were a list of them."""
        line = node.lineno if node is not None else 1
        self.add("unknown-cell", f"{shown(node)} is one cell, and no list of cells.", cure, chain_of(node), line)

    def attribute(self, node: nodes.Filter) -> str | None:
        """The field that ``map(attribute='x')``, ``selectattr('x')`` and their like read."""
        found: nodes.Node | None = None
        if node.name in ("selectattr", "rejectattr", "groupby") and node.args:
            found = node.args[0]
        for keyword in node.kwargs:
            if keyword.key == "attribute":
                found = keyword.value
        return found.value if isinstance(found, nodes.Const) and isinstance(found.value, str) else None

    def test(self, node: nodes.Test) -> Shape:
        self.spared += node.name in ("defined", "undefined")
        self.children(node)
        self.spared -= node.name in ("defined", "undefined")
        known = environment().tests
        if node.name not in known:
            names = sorted(name for name in known if name.isidentifier())
            self.add("unknown-test", f"There is no test {node.name}.", nearest(node.name, names),
                     (node.name,), node.lineno)  # fmt: skip
        return Shape(_FLAG)

    def either(self, options: Sequence[nodes.Node]) -> Shape:
        shapes = [self.visit(option) for option in options]
        if all(s == shapes[0] or (s.artifact and s.artifact == shapes[0].artifact) for s in shapes):
            return shapes[0]
        if all(s.types for s in shapes) and not any(s.artifact for s in shapes):
            return Shape({"type": sorted(set().union(*(s.types for s in shapes)))})
        return ANY

    def add(self, code: str, message: str, instead: str, words: tuple[str, ...], line: int) -> None:
        finding = Finding(code, message, instead, words, line)
        if finding not in self.findings:
            self.findings.append(finding)


class _Scope:
    """Names that are set inside a loop or a with are gone after it."""

    def __init__(self, walk: _Walk) -> None:
        self.walk = walk

    def __enter__(self) -> None:
        self.before = dict(self.walk.names)

    def __exit__(self, *_: object) -> None:
        self.walk.names = self.before


def _field_of(loop: nodes.For) -> str:
    """The field that a loop reads of what it goes through; empty if it reads none."""
    if not isinstance(loop.target, nodes.Name):
        return ""
    read = (each for part in loop.body for each in part.find_all(nodes.Getattr))
    return next((shown(each).partition(".")[2] for each in read if chain_of(each)[0] == loop.target.name), "")


def record_in_text(shape: Shape, shown: str) -> tuple[str, str] | None:
    """What stands in a text where a step, or the list of its cells, does; and what to write instead. Else nothing."""
    if shape.record:
        field = shape.meant
        return f"all that the step made, and not only its {field.split('.')[0]}", f"Write {shown}.{field}."
    if shape.types == {"array"} and shape.items.record:
        field = shape.items.meant
        return (f"all that each of its cells made, and not only the {field.split('.')[0]}",
                f"Write {shown} | map(attribute='{field}') | join(', ').")  # fmt: skip
    return None


def _either(names: Sequence[str]) -> str:
    return f"Did you mean {' or '.join(names[:3])}?" if names else ""


def _fields_of(shape: Shape) -> str:
    return f"Write a field of it: {', '.join('.' + name for name in shape.fields)}." if shape.fields else ""


def _path_of(node: nodes.Node, names: Mapping[str, Shape]) -> tuple[str, ...]:
    """The names of a path that is written with a sign in the place of dots: ``steps/photo/image``; else nothing."""
    match node:
        case nodes.Name(name=("steps" | "inputs" | "env" | "item" | "matrix") as name):
            return (name,)
        case nodes.Div(left=left, right=nodes.Name(name=name)) | nodes.Sub(left=left, right=nodes.Name(name=name)):
            before = _path_of(left, names)
            return (*before, name) if before and name not in names else ()
    return ()


def shown(node: nodes.Node | None) -> str:
    """A chain as one writes it: ``steps.facts.data.words[0]``."""
    text = "".join(f"[{word}]" if word.isdigit() else f".{word}" for word in chain_of(node))
    return text.removeprefix(".") or "this"


def chain_of(node: nodes.Node | None) -> tuple[str, ...]:
    """The tokens of a chain such as ``steps.facts['data']``."""
    match node:
        case nodes.Name():
            return (node.name,)
        case nodes.Getattr():
            return (*chain_of(node.node), node.attr)
        case nodes.Getitem():
            if isinstance(node.arg, nodes.Const):
                return (*chain_of(node.node), str(node.arg.value))
            return chain_of(node.node)
        case nodes.Filter() | nodes.Call() | nodes.Test():
            return chain_of(node.node)
    return ()
