"""What a template reads, what it yields, and what is wrong with it before it runs."""

from typing import Any

import pytest

from runner import keywords
from runner.inference import infer
from runner.shape import Shape, faults
from runner.templates import parse

FACTS = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "count": {"type": "integer"},
        "words": {"type": "array", "items": {"type": "object", "properties": {"w": {"type": "string"}}}},
        "tags": {"type": "array", "items": {"type": "string"}},
        "maker": {"$ref": "#/$defs/maker"},
        "free": {"type": "object"},
        "open": {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": True},
        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
        "maybe": {"anyOf": [{"type": "object", "properties": {"x": {"type": "integer"}}}, {"type": "null"}]},
        "one": {
            "type": "object",
            "properties": {"kind": {"type": "string"}},
            "oneOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"b": {"type": "integer"}}}],
        },
        "all": {
            "properties": {"a": {"type": "string"}},
            "allOf": [{"properties": {"b": {"type": "integer"}}}, {"required": ["a"]}],
        },
        "extended": {"$ref": "#/$defs/maker", "properties": {"street": {"type": "string"}}},
        "tree": {"$ref": "#/$defs/tree"},
    },
    "$defs": {
        "maker": {"type": "object", "properties": {"city": {"type": "string"}}},
        "tree": {"type": "object", "properties": {"leaf": {"type": "string"},
                 "branches": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}},
    },
}  # fmt: skip
NAMES = {
    "inputs": Shape.of({"type": "object", "additionalProperties": False, "properties": {
        "leaf": {"type": "string"}, "count": {"type": "integer"}, "photo": {"artifact": "image"},
        "list": {"type": "array", "items": {"type": "integer"}}, "flag": {"type": "boolean"}, "none": {"type": "null"},
    }}),
    "steps": Shape({"type": "object", "additionalProperties": False, "properties": {
        "draft": {"type": "object", "properties": {"text": {"type": "string"}}, "additionalProperties": False},
        "facts": {"type": "object", "properties": {"data": {**FACTS, "$root": True}}, "additionalProperties": False},
        "photo": {"type": "object", "properties": {"image": {"artifact": "image"}, "seed": {"type": "integer"}},
                  "additionalProperties": False},
        "loose": {"type": "object", "properties": {"data": {"$root": True}}, "additionalProperties": False},
    }}, steps=True),
    "env": Shape.of({"type": "object", "properties": {"SHOP": {"type": "string"}}, "additionalProperties": False}),
}  # fmt: skip
DATA = "steps.facts.data"


def found(text: str) -> list[tuple[str, str]]:
    return [(finding.code, finding.message) for finding in infer(parse(text), NAMES).findings]


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("{{ inputs.leaf }}", {"string"}),
        ("{{ inputs.count }}", {"integer"}),
        ("{{ inputs.photo }}", {"artifact"}),
        ("{{ steps.photo.image.width }}", {"integer"}),
        ("{{ steps.facts.data.words }}", {"array"}),
        ("{{ steps.facts.data.words[0].w }}", {"string"}),
        ("{{ steps.facts.data.words | map(attribute='w') }}", {"array"}),
        ("{{ (steps.facts.data.words | first).w }}", {"string"}),
        ("{{ steps.facts.data.words | length }}", {"integer"}),
        ("{{ steps.facts.data.maker.city }}", {"string"}),
        ("{{ steps.facts.data.tree.branches[0].branches[0].leaf }}", {"string"}),
        ("{{ steps.facts.data.map.anything }}", {"integer"}),
        ("{{ steps.facts.data.all.b }}", {"integer"}),
        ("{{ steps.facts.data.one.kind }}", {"string"}),
        ("{{ steps.facts.data.extended.city }}", {"string"}),
        ("{{ steps.facts.data.extended.street }}", {"string"}),
        ("{{ steps.loose.data.anything.at.all }}", set()),
        ("{{ 'a' ~ 1 }}", {"string"}),
        ("{{ 1 + inputs.count }}", {"integer"}),
        ("{{ -inputs.count - 7 // 2 * 3 % 2 }}", {"integer"}),
        ("{{ steps.facts.data.words | length - 1 }}", {"integer"}),
        ("{{ inputs.count / 1 }}", {"number"}),
        ("{{ inputs.count * 1.5 - 1 }}", {"number"}),
        ("{{ steps.loose.data.anything - 1 }}", {"integer", "number"}),
        ("{{ not inputs.flag }}", {"boolean"}),
        ("{{ inputs.count > 1 and true }}", {"boolean"}),
        ("{{ [inputs.leaf] }}", {"array"}),
        ("{{ {'a': 1} }}", {"object"}),
        ("{{ inputs.leaf if inputs.flag else 1 }}", {"integer", "string"}),
        ("{{ inputs.leaf | default('x') }}", {"string"}),
        ("{{ range(3) }}", {"array"}),
        ("{{ inputs.leaf.upper() }}", {"string"}),
        ("{{ inputs.leaf }} and more", {"string"}),
        ("{{ steps.photo.image if inputs.flag else inputs.photo }}", {"artifact"}),
    ],
)
def test_a_template_yields_a_shape(text: str, types: set[str]) -> None:
    inference = infer(parse(text), NAMES)

    assert inference.findings == ()
    assert inference.shape.types == types


@pytest.mark.parametrize(
    ("text", "steps", "inputs"),
    [
        ("{{ steps.draft.text }} {{ steps.facts.data.title }}", ("draft", "facts"), ()),
        ("{{ steps['draft']['text'] }}", ("draft",), ()),
        ("{% for w in steps.facts.data.words %}{{ w.w }}{{ inputs.leaf }}{% endfor %}", ("facts",), ("leaf",)),
        ("{% if steps.photo.seed %}{{ inputs.count }}{% elif inputs.flag %}{% endif %}", ("photo",), ("count", "flag")),
        ("{% set x = steps.draft %}{{ x.text }}", ("draft",), ()),
        ("{{ inputs.leaf | default(steps.draft.text) }}", ("draft",), ("leaf",)),
        ("{% macro m(a) %}{{ steps.draft.text }}{{ a.b }}{% endmacro %}", ("draft",), ()),
        ("{{ [steps.draft.text, {'a': steps.photo.seed}] }}", ("draft", "photo"), ()),
        ("{% set steps = inputs %}{{ steps.leaf }}", (), ()),
    ],
)
def test_what_a_template_reads_is_known(text: str, steps: tuple[str, ...], inputs: tuple[str, ...]) -> None:
    inference = infer(parse(text), NAMES)

    assert inference.findings == ()
    assert (inference.steps, inference.inputs) == (steps, inputs)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("{{ steps.drfat.text }}", "unknown-step", "There is no step drfat."),
        ("{{ inputs.leef }}", "unknown-input", "There is no input leef."),
        ("{{ env.HOME }}", "unknown-env", "HOME is not listed under env:."),
        ("{{ leaf }}", "unknown-name", "There is no name leaf in templates."),
        ("{{ steps[inputs.leaf] }}", "unknown-step", "A step must be named"),
        (f"{{{{ {DATA}.titel }}}}", "unknown-field", f"{DATA} has no field titel."),
        (f"{{{{ {DATA}['titel'] }}}}", "unknown-field", f"{DATA} has no field titel."),
        (f"{{{{ {DATA}.title.x }}}}", "unknown-field", f"{DATA}.title is text; it has no field x."),
        (f"{{{{ {DATA}.words.w }}}}", "unknown-field", f"{DATA}.words is a list; it has no field w."),
        (f"{{{{ {DATA}.words[0].x }}}}", "unknown-field", f"{DATA}.words[0] has no field x."),
        (f"{{{{ {DATA}.maker.citty }}}}", "unknown-field", f"{DATA}.maker has no field citty."),
        (f"{{{{ {DATA}.extended.citty }}}}", "unknown-field", f"{DATA}.extended has no field citty."),
        (f"{{{{ {DATA}.maybe.y }}}}", "unknown-field", f"{DATA}.maybe has no field y."),
        (f"{{{{ {DATA}.one.c }}}}", "unknown-field", f"{DATA}.one has no field c."),
        (f"{{{{ {DATA}.all.c }}}}", "unknown-field", f"{DATA}.all has no field c."),
        (f"{{{{ {DATA}.tree.branches[0].x }}}}", "unknown-field", f"{DATA}.tree.branches[0] has no field x."),
        ("{{ steps.photo.image.widht }}", "unknown-field", "steps.photo.image has no field widht."),
        (f"{{% for w in {DATA}.words %}}{{{{ w.x }}}}{{% endfor %}}", "unknown-field", "w has no field x."),
        (f"{{% for a in [{DATA}] %}}{{{{ a.x }}}}{{% endfor %}}", "unknown-field", "a has no field x."),
        (f"{{% for w in {DATA}.words if w.x %}}{{% endfor %}}", "unknown-field", "w has no field x."),
        (f"{{% set f = {DATA} %}}{{{{ f.x }}}}", "unknown-field", "f has no field x."),
        (f"{{% with f = {DATA} %}}{{{{ f.x }}}}{{% endwith %}}", "unknown-field", "f has no field x."),
        (f"{{{{ {DATA}.words | map(attribute='x') | list }}}}", "unknown-field", "items of this list have no field x."),
        (f"{{{{ {DATA}.words | selectattr('x') | list }}}}", "unknown-field", "items of this list have no field x."),
        (f"{{{{ {DATA}.words | groupby('x') }}}}", "unknown-field", "items of this list have no field x."),
        (f"{{{{ {DATA}.words | sum(attribute='x') }}}}", "unknown-field", "items of this list have no field x."),
        (f"{{{{ ({DATA}.words | last).x }}}}", "unknown-field", "has no field x."),
        (f"{{{{ {DATA}.words | sort(attribute='w') | map(attribute='x') }}}}", "unknown-field", "no field x."),
        ("{% if inputs.leef %}{% endif %}", "unknown-input", "There is no input leef."),
        ("{{ 1 if inputs.leef else 2 }}", "unknown-input", "There is no input leef."),
        ("{{ inputs.leaf ~ inputs.leef }}", "unknown-input", "There is no input leef."),
        ("{{ inputs.list[inputs.leef] }}", "unknown-input", "There is no input leef."),
        ("{{ range(inputs.leef) }}", "unknown-input", "There is no input leef."),
        ("{% filter upper %}{{ inputs.leef }}{% endfilter %}", "unknown-input", "There is no input leef."),
        ("{{ inputs.leaf | shout }}", "unknown-filter", "There is no filter shout."),
        ("{{ inputs.leaf is loud }}", "unknown-test", "There is no test loud."),
        ("{{ inputs.leaf.shout() }}", "template", "This is text, which has no method shout()."),
        ("{{ inputs.leaf.encode() }}", "template", "This is text, which has no method encode()."),
        ("a {{ steps.photo.image }}", "type", "This is an image, which has no text."),
        ("a {{ steps.photo }}", "type", "This holds a file, which has no text."),
        ("{{ 'a' ~ steps.photo.image }}", "type", "This is an image, which has no text."),
        ("{{ inputs.photo | upper }}", "type", "This is an image, which has no text."),
        ("a {{ inputs.none }}", "type", "This is always null, which has no text."),
        ("{% for i in inputs.count %}{% endfor %}", "type", "A loop needs a list; this is an integer."),
        ("{% for i in inputs.photo %}{% endfor %}", "type", "A loop needs a list; this is an image."),
        ("{% include 'x' %}", "template", "{% include %} is not available in a pipeline."),
        ("{% import 'x' as y %}", "template", "{% import %} is not available in a pipeline."),
        ("{% extends 'x' %}", "template", "{% extends %} is not available in a pipeline."),
    ],
)  # fmt: skip
def test_a_mistake_is_found_without_running(text: str, code: str, message: str) -> None:
    (finding,) = found(text)

    assert finding[0] == code
    assert message in finding[1]


@pytest.mark.parametrize(
    "text",
    [
        "{{ steps.facts.data.open.anything }}",
        "{{ steps.facts.data.free.anything }}",
        "{{ steps.loose.data.x[0].y | map(attribute='z') | list }}",
        "{{ steps.facts.data.maybe.x }}",
        "{{ steps.facts.data.one.a }} {{ steps.facts.data.one.b }}",
        "{% for w in steps.facts.data.words %}{{ loop.index }}{{ loop.last }}{{ w.w }}{% endfor %}",
        "{% for k, v in steps.facts.data.maker.items() %}{{ k }}{{ v }}{% endfor %}",
        "{% for c in inputs.leaf %}{{ c }}{% endfor %}",
        "{% for i in range(inputs.count) %}{{ i }}{% endfor %}",
        "{% set n = namespace(x=1) %}{% set n.x = 2 %}{{ n.x }}",
        "{{ inputs.leaf.split(',')[0].strip() }}",
        "{{ steps.facts.data.tags | join(', ') }}",
        "{{ steps.facts.data.words | selectattr('w', 'equalto', 'x') | map(attribute='w') | join }}",
        "{{ inputs.leaf[:3] }} {{ inputs.list[-1] }}",
        "{{ inputs.none | default('x', true) }} {{ inputs.leaf is defined }}",
        "{{ env.SHOP }}",
        "{% macro m(a, b=1) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}",
        "{{ steps.photo.image.path }} {{ inputs.photo.sha256[:8] }}",
        "{{ dict(a=1) }}",
    ],
)
def test_what_is_right_is_left_alone(text: str) -> None:
    assert found(text) == []


def test_names_of_a_loop_end_with_it() -> None:
    text = "{% for w in steps.facts.data.words %}{{ w.w }}{% endfor %}{{ w }}"

    assert found(text) == [("unknown-name", "There is no name w in templates.")]


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"$ref": "#/$defs/a"}, "There is no #/$defs/a in this schema."),
        ({"$ref": "#a"}, "There is no #a in this schema."),
        ({"$ref": "https://x/y"}, "A schema can only refer to itself; this one refers to https://x/y."),
        ({"$ref": "other.json#/a"}, "A schema can only refer to itself; this one refers to other.json#/a."),
        ({"$ref": "#"}, "# leads back to itself, without end."),
        ({"anyOf": [{"$ref": "#"}]}, "# leads back to itself, without end."),
        ({"not": {"$ref": "#"}}, "# leads back to itself, without end."),
        ({"properties": {"default": {"$ref": "#/x"}}}, "There is no #/x in this schema."),
        (
            {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
            "#/$defs/b leads back to itself, without end.",
        ),
    ],
)
def test_a_reference_that_leads_nowhere_is_found(schema: dict[str, Any], message: str) -> None:
    assert [found_message for _, found_message, _ in faults(schema)] == [message]


@pytest.mark.parametrize(
    "schema",
    [
        FACTS,
        {"$defs": {"a b": {}}, "properties": {"x": {"$ref": "#/$defs/a%20b"}}},
        {"$defs": {"a/b": {}}, "properties": {"x": {"$ref": "#/$defs/a~1b"}}},
        {"items": {"$ref": "#"}},
        {"allOf": [{"type": "object"}], "properties": {"x": {"$ref": "#/allOf/0"}}},
        {"const": {"$ref": "#/nowhere"}},
        {"properties": {"$ref": {"type": "string"}}},
    ],
)
def test_a_schema_that_refers_to_itself_and_ends_is_fine(schema: dict[str, Any]) -> None:
    assert list(faults(schema)) == []


@pytest.mark.parametrize(
    "schema",
    [
        {
            "type": "object",
            "x-foo": 1,
            "order": 2,
            "hint": "a",
            "unit": "g",
            "$comment": "b",
            "propertyOrdering": ["a"],
        },
        {"properties": {"propertys": {}, "maxlength": {"type": "integer"}}},
        {"enum": ["maxlength"], "examples": [{"propertys": 1}], "default": {"maxlength": 1}},
        {"type": "object", "required": ["a"]},
        {"properties": {"a": {}}, "required": ["b"], "additionalProperties": True},
        {"properties": {"a": {}}, "required": ["b"], "patternProperties": {"^b": {}}},
        {"properties": {"a": {}}, "required": ["b"], "additionalProperties": {"type": "string"}},
        {
            "properties": {"a": {}, "b": {}},
            "anyOf": [{"required": ["a"]}, {"properties": {"a": {}}, "required": ["b"]}],
        },
        {"properties": {"a": {}}, "required": ["a", "b"], "allOf": [{"properties": {"b": {}}}]},
        {"properties": {"a": {}}, "required": ["b"], "$ref": "#/$defs/c", "$defs": {"c": {"properties": {"b": {}}}}},
        {"minimum": 1, "maximum": 1, "minLength": 3, "maxLength": 3, "minItems": 0, "maxItems": 0},
        {"type": ["array", "object"], "properties": {"a": {}}, "items": {}},
        {"type": "object", "items": {}},
        {"type": "string", "nullable": False, "example": "string", "widget": "a text area"},
        {"type": "object", "x-order": ["a"], "ui:widget": {"type": "text"}, "properties": {"title": {"title": "T"}}},
        {"title": "Tea", "description": "what it is"},
    ],
)
def test_a_schema_that_says_what_it_may_has_no_fault(schema: dict[str, Any]) -> None:
    assert list(keywords.faults(schema)) == []


@pytest.mark.parametrize(
    ("schema", "path", "of_key"),
    [
        ({"properties": {"a": {"maxlength": 1}}}, ("properties", "a", "maxlength"), True),
        ({"items": {"minimum": 2, "maximum": 1}}, ("items", "minimum"), False),
        ({"anyOf": [{"descripton": "a"}]}, ("anyOf", 0, "descripton"), True),
        ({"$defs": {"a": {"requierd": []}}}, ("$defs", "a", "requierd"), True),
        ({"properties": {"a": {}}, "required": ["b"]}, ("required", 0), False),
    ],
)
def test_a_fault_of_a_schema_is_told_at_its_place(schema: dict[str, Any], path: tuple[Any, ...], of_key: bool) -> None:
    assert [(fault[0], keywords.is_of_key(fault[0])) for fault in keywords.faults(schema)] == [(path, of_key)]
