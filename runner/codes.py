"""Every code that a problem can have: its number, its name, what it means, a pipeline that has it and one that has not.

The one registry: `runner check` shows number and name, `runner explain` and docs/problems.md show the rest. E is a
problem, with which nothing runs; W is a warning. A number is never given to another code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PAGES = "docs/problems.md"
FILE = "pipeline.yaml"
"""What the file of an example is called."""
TESTS = "pipeline.test.yaml"
"""What it is called if it is a test file."""


@dataclass(frozen=True, slots=True)
class Code:
    """A sort of problem. ``wrong`` has it once and nothing else; ``right`` has nothing."""

    number: str
    name: str
    title: str
    why: str
    wrong: str
    right: str
    beside: Mapping[str, str] = field(default_factory=dict)
    """Files that lie beside both examples."""
    file: str = FILE
    """What the examples are called."""

    def __str__(self) -> str:
        return f"{self.number} {self.name}"

    @property
    def of_tests(self) -> bool:
        """Whether the examples are test files."""
        return self.file == TESTS

    @property
    def warning(self) -> bool:
        """Whether a pipeline runs all the same."""
        return self.number.startswith("W")


def called(name: str) -> str:
    """``E102 unknown-field``; a name that is not in the registry is its own number."""
    code = BY_NAME.get(name)
    return str(code) if code else name


def find(word: str) -> Code | None:
    """The code with this number or name, in any case, alone or as `runner check` shows it."""
    for part in word.strip("[] ").split():
        for code in CODES:
            if part.lower() in (code.number.lower(), code.name):
                return code
    return None


_TESTED: Mapping[str, str] = {
    FILE: """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
outputs:
  tea.txt: "{{ steps.draft.text }}"
"""
}
"""What the test files of the examples are of."""

CODES = (
    # -- E0: the file, before it is a pipeline ----------------------------------------------------------
    Code(
        "E001",
        "yaml",
        "This is not YAML",
        "The file cannot be read: a quote or a bracket is not closed, a colon stands in a text without quotes, or a "
        "line begins too far to the left or to the right. The place is where the matter began, where that is known.",
        """\
name: tea
description: "A pot of tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
""",
        """\
name: tea
description: "A pot of tea"
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
""",
    ),
    Code(
        "E002",
        "tab",
        "A tab stands where spaces belong",
        "YAML says by spaces what belongs to what; a tab is as wide as each editor likes, so it is not allowed there. "
        "Let your editor write spaces in .yaml files.",
        "name: tea\nsteps:\n  draft:\n\tkind: generate_text\n",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
""",
    ),
    Code(
        "E003",
        "quotes",
        "A template needs quotes",
        "In YAML a value that begins with a brace is a mapping. A text that begins with {{ must stand in quotes; one "
        "that only holds {{ }} further on needs none.",
        """\
name: tea
inputs:
  leaf: {type: string, default: oolong}
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: {{ inputs.leaf }} tea, in a line
""",
        """\
name: tea
inputs:
  leaf: {type: string, default: oolong}
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: "{{ inputs.leaf }} tea, in a line"
""",
    ),
    Code(
        "E004",
        "repeated-key",
        "A key stands twice",
        "Two keys of one name in one place: only one of them could count, and which would be a guess.",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
    prompt: Write a line about coffee.
""",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
""",
    ),
    Code(
        "E005",
        "key",
        "A key is not text",
        "What stands before a colon is a name. A list or a mapping cannot be one.",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
outputs:
  [tea, txt]: "{{ steps.draft.text }}"
""",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
outputs:
  tea.txt: "{{ steps.draft.text }}"
""",
    ),
    Code(
        "E006",
        "alias",
        "An alias has nothing to stand for",
        "In YAML *name repeats what &name has marked above. A text that only happens to begin with * needs quotes.",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: *important Write a line about tea.
""",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: "*important: write a line about tea."
""",
    ),
    Code(
        "E007",
        "tag",
        "A YAML tag is not used here",
        "A word that begins with ! is a tag, which pipelines do not have. A text that begins with it needs quotes.",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: !now Write a line about tea.
""",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: "!now Write a line about tea."
""",
    ),
    Code(
        "E008",
        "documents",
        "A second document begins",
        "A line of three dashes begins another document. A file is one pipeline.",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
---
name: coffee
""",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
""",
    ),
    Code(
        "E009",
        "too-much",
        "The file is larger or deeper than any pipeline",
        "More than 32 million characters, or brackets in brackets for more than 64 levels. Mostly something has been "
        "pasted that belongs into a file of its own: prompt: {file: brief.md}.",
        "name: tea\nsteps: " + "[" * 70 + "]" * 70 + "\n",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
""",
    ),
    Code(
        "E010",
        "empty",
        "The file is empty",
        "Nothing stands in it but, perhaps, comments. A pipeline has at least a name and a step.",
        "# a pipeline about tea\n",
        """\
# a pipeline about tea
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
""",
    ),
    Code(
        "E011",
        "number",
        "A number that JSON does not know",
        "Infinity and not-a-number can stand in YAML, but no model can be sent one.",
        """\
name: tea
budget: {usd: .inf}
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
""",
        """\
name: tea
budget: {usd: 1}
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
""",
    ),
    Code(
        "E012",
        "indentation",
        "A line begins too far to the left or to the right",
        "In YAML a line belongs to the one above it that begins further to the left, and what belongs together begins "
        "equally far in. This one begins elsewhere: beside what it belongs to, or within what stands beside it. Which "
        "line that is follows from what leaves least to complain about when it is moved.",
        """\
name: tea
steps:
  draft:
  kind: generate_text
  model: qwen/qwen3-32b-awq
  prompt: Write a line about tea.
""",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
""",
    ),
    # -- E1: names in templates -------------------------------------------------------------------------
    Code(
        "E101",
        "unknown-name",
        "A template begins with a name that there is not",
        "Templates know inputs, steps, env and run; in a step with foreach: or matrix: also item, index, key and "
        "matrix; and what a loop or a set of the template itself names.",
        """\
name: tea
inputs:
  leaf: {type: string, default: oolong}
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about {{ inputs.leaf }}, {{ leaf }}.
""",
        """\
name: tea
inputs:
  leaf: {type: string, default: oolong}
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about {{ inputs.leaf }}.
""",
    ),
    Code(
        "E102",
        "unknown-field",
        "A template reads a field that is not there",
        "What a step yields is known before it runs: each kind has its fields (text, image, data …), and the data of a "
        "parse_json step has those of its schema. Another field could only be missed when the step has been paid for.",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
outputs:
  tea.txt: "{{ steps.draft.txt }}"
""",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
outputs:
  tea.txt: "{{ steps.draft.text }}"
""",
    ),
    Code(
        "E103",
        "unknown-step",
        "There is no step of this name",
        "A template, needs: or after: names a step that the pipeline has not. A step must be named as it is: with a "
        "name that is only known at run time its order would not be known.",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
outputs:
  tea.txt: "{{ steps.drafft.text }}"
""",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
outputs:
  tea.txt: "{{ steps.draft.text }}"
""",
    ),
    Code(
        "E104",
        "unknown-input",
        "There is no input of this name",
        "An input is declared under inputs: before a template can read it. A step that runs another pipeline, and a "
        "file of --inputs, can only fill the inputs that the pipeline has.",
        """\
name: tea
inputs:
  leaf: {type: string, default: oolong}
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about {{ inputs.leave }}.
""",
        """\
name: tea
inputs:
  leaf: {type: string, default: oolong}
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about {{ inputs.leaf }}.
""",
    ),
    Code(
        "E105",
        "unknown-env",
        "An environment variable is not listed",
        "Templates see only the environment variables that the pipeline lists under env:, so that a pipeline from "
        "somebody else cannot put your secrets into a prompt.",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea for {{ env.SHOP }}.
""",
        """\
name: tea
env: [SHOP]
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea for {{ env.SHOP }}.
""",
    ),
    Code(
        "E106",
        "unknown-filter",
        "There is no such filter",
        "What follows | in a template is one of Jinja's filters, of those that a prompt can use.",
        """\
name: tea
inputs:
  leaf: {type: string, default: oolong}
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about {{ inputs.leaf | uppercase }}.
""",
        """\
name: tea
inputs:
  leaf: {type: string, default: oolong}
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about {{ inputs.leaf | upper }}.
""",
    ),
    Code(
        "E107",
        "unknown-test",
        "There is no such test",
        "What follows is in a template is one of Jinja's tests: defined, none, number, string, even and so on.",
        """\
name: tea
inputs:
  cups: {type: integer, default: 2}
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write {% if inputs.cups is evn %}a rhyme{% else %}a line{% endif %} about tea.
""",
        """\
name: tea
inputs:
  cups: {type: integer, default: 2}
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write {% if inputs.cups is even %}a rhyme{% else %}a line{% endif %} about tea.
""",
    ),
    Code(
        "E108",
        "template",
        "A template cannot be read",
        "Something is missing between its braces, or a {% if %} or {% for %} has no end, or it asks for what "
        "pipelines do not have: including files, defining functions of its own. Or a brace is missing, as in "
        "{inputs.leaf}, or all of them, as in foreach: steps.facts.data: a model would be sent these very characters. "
        "Braces around anything else, as in JSON, need nothing; {{ '{' }} is a brace where one is meant.",
        """\
name: tea
inputs:
  leaf: {type: string, default: oolong}
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: |
      Write a line about tea.
      {% if inputs.leaf %} It is {{ inputs.leaf }}.
""",
        """\
name: tea
inputs:
  leaf: {type: string, default: oolong}
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: |
      Write a line about tea.
      {% if inputs.leaf %} It is {{ inputs.leaf }}.{% endif %}
""",
    ),
    Code(
        "E109",
        "fanned-out",
        "A step with many cells is read as if it were one",
        "A step with foreach: or matrix: yields a list, one item a cell. Let the reading step follow it cell by cell "
        'with foreach:, name an output "{key}.png" to have one for each, or write [0] for the first. What is text can '
        "be looped over.",
        """\
name: pots
steps:
  picture:
    kind: generate_image
    model: qwen/qwen-image
    foreach: [red, blue]
    prompt: A {{ item }} pot.
  night:
    kind: edit_image
    model: qwen/qwen-image-edit
    image: "{{ steps.picture.image }}"
    prompt: The same pot at night.
""",
        """\
name: pots
steps:
  picture:
    kind: generate_image
    model: qwen/qwen-image
    foreach: [red, blue]
    prompt: A {{ item }} pot.
  night:
    kind: edit_image
    model: qwen/qwen-image-edit
    foreach: "{{ steps.picture }}"
    image: "{{ item.image }}"
    prompt: The same pot at night.
""",
    ),
    Code(
        "E110",
        "unknown-cell",
        "A cell is read that the step does not have",
        "Where the list of a foreach: or a matrix: stands in the file, it is known which cells there will be, and what "
        "each is called: its item if that is a short text, its place in the list otherwise, or what key: says.",
        """\
name: pots
steps:
  picture:
    kind: generate_image
    model: qwen/qwen-image
    foreach: [red, blue]
    prompt: A {{ item }} pot.
outputs:
  green.png: "{{ steps.picture['green'].image }}"
""",
        """\
name: pots
steps:
  picture:
    kind: generate_image
    model: qwen/qwen-image
    foreach: [red, blue]
    prompt: A {{ item }} pot.
outputs:
  blue.png: "{{ steps.picture['blue'].image }}"
""",
    ),
    # -- E2: the form of a pipeline ---------------------------------------------------------------------
    Code(
        "E201",
        "unknown-key",
        "A key that is not known here",
        "Each part of a pipeline has its keys, and each kind of step its own. A key that is not among them would do "
        "nothing, so it is taken for a slip.",
        """\
name: tea
steps:
  photo:
    kind: generate_image
    model: qwen/qwen-image
    prompt: A pot of tea.
    sede: 7
""",
        """\
name: tea
steps:
  photo:
    kind: generate_image
    model: qwen/qwen-image
    prompt: A pot of tea.
    seed: 7
""",
    ),
    Code(
        "E202",
        "missing-key",
        "A key is missing",
        "A pipeline needs name and steps, a step its kind and what that kind cannot do without, an input its type.",
        """\
name: tea
steps:
  photo:
    kind: generate_image
    model: qwen/qwen-image
""",
        """\
name: tea
steps:
  photo:
    kind: generate_image
    model: qwen/qwen-image
    prompt: A pot of tea.
""",
    ),
    Code(
        "E203",
        "unknown-kind",
        "There is no kind of this name",
        "kind: says which sort of step it is, and which other keys it may have.",
        """\
name: tea
steps:
  photo:
    kind: generate_picture
    model: qwen/qwen-image
    prompt: A pot of tea.
""",
        """\
name: tea
steps:
  photo:
    kind: generate_image
    model: qwen/qwen-image
    prompt: A pot of tea.
""",
    ),
    Code(
        "E204",
        "name",
        "This cannot be a name",
        "Steps, inputs and models are read in templates, so their names are small letters, digits and _, with a letter "
        "first.",
        """\
name: tea
steps:
  First-Draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
""",
        """\
name: tea
steps:
  first_draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
""",
    ),
    Code(
        "E205",
        "type",
        "A value of another type is needed",
        "A number where text is needed, a text where a picture is needed, a list where a mapping is. A text with one "
        "{{ expression }} and nothing around it yields the value itself: a number, a list, a picture.",
        """\
name: tea
steps:
  photo:
    kind: generate_image
    model: qwen/qwen-image
    prompt: A pot of tea.
  night:
    kind: edit_image
    model: qwen/qwen-image-edit
    image: "{{ steps.photo }}"
    prompt: The same pot at night.
""",
        """\
name: tea
steps:
  photo:
    kind: generate_image
    model: qwen/qwen-image
    prompt: A pot of tea.
  night:
    kind: edit_image
    model: qwen/qwen-image-edit
    image: "{{ steps.photo.image }}"
    prompt: The same pot at night.
""",
    ),
    Code(
        "E206",
        "value",
        "A value that cannot be",
        "It has the right type and is out of range, not one of the words that can stand there, or not of the form that "
        "is wanted.",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
    timeout: 5 minutes
""",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
    timeout: 5m
""",
    ),
    Code(
        "E207",
        "schema",
        "A JSON Schema that is none",
        "The schema of a parse_json or generate_text step, or of an input, must be a JSON Schema (draft 2020-12) that "
        "refers to nothing outside itself.",
        """\
name: tea
steps:
  facts:
    kind: parse_json
    text: '{"title": "Oolong"}'
    schema: {type: object, properties: {title: {type: text}}}
""",
        """\
name: tea
steps:
  facts:
    kind: parse_json
    text: '{"title": "Oolong"}'
    schema: {type: object, properties: {title: {type: string}}}
""",
    ),
    Code(
        "E208",
        "contradiction",
        "Two keys that cannot both be meant",
        "The step says one thing twice, or says something about what it has not: a prompt and messages, max_turns "
        "without tools.",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
    max_turns: 3
""",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
""",
    ),
    Code(
        "E209",
        "input",
        "A value does not fit its input",
        "The default of an input, what a step hands to another pipeline, or what a file of --inputs gives is not what "
        "the input's declaration says.",
        """\
name: tea
inputs:
  season: {type: string, enum: [spring, summer, autumn, winter], default: autum}
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea in {{ inputs.season }}.
""",
        """\
name: tea
inputs:
  season: {type: string, enum: [spring, summer, autumn, winter], default: autumn}
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea in {{ inputs.season }}.
""",
    ),
    Code(
        "E210",
        "output",
        "This cannot be the name of an output",
        "The name of an output is the file that it is written to, under --out. It cannot lead outside that folder, be "
        "another output's folder, or differ from another one by case only. {key} in it asks for one file a cell. A "
        "picture, sound or film that a model makes needs the ending of one: .png, .jpg, .webp; .wav, .mp3; .mp4.",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
outputs:
  ../tea.txt: "{{ steps.draft.text }}"
""",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
outputs:
  texts/tea.txt: "{{ steps.draft.text }}"
""",
    ),
    Code(
        "E211",
        "file",
        "A file cannot be read",
        "It is not there, it is not text in UTF-8, or it is outside the project. Paths start at the folder of the "
        "pipeline.",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: {file: breif.md}
""",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: {file: brief.md}
""",
        {"brief.md": "Write a line about tea.\n"},
    ),
    # -- E3: models -------------------------------------------------------------------------------------
    Code(
        "E301",
        "unknown-model",
        "There is no model of this name",
        "model: is a name of models:, the id of a public model (see runner models), or a private endpoint's id or the "
        "address of its page in Runpod's console.",
        """\
name: tea
steps:
  photo:
    kind: generate_image
    model: qwen/qwen-imgae
    prompt: A pot of tea.
""",
        """\
name: tea
steps:
  photo:
    kind: generate_image
    model: qwen/qwen-image
    prompt: A pot of tea.
""",
    ),
    Code(
        "E302",
        "model",
        "The model is for other steps",
        "A model that writes cannot paint. runner models --kind generate_image lists those for a kind of step.",
        """\
name: tea
steps:
  photo:
    kind: generate_image
    model: qwen/qwen3-32b-awq
    prompt: A pot of tea.
""",
        """\
name: tea
steps:
  photo:
    kind: generate_image
    model: qwen/qwen-image
    prompt: A pot of tea.
""",
    ),
    Code(
        "E303",
        "model-value",
        "The model does not take this value",
        "Models differ in the sizes, ratios, durations, voices and ranges that they take; what this one takes stands "
        "beside the mistake, and in runner models ID. It would have been refused after the steps before it were paid.",
        """\
name: tea
steps:
  photo:
    kind: generate_image
    model: black-forest-labs/flux-1-schnell
    prompt: A pot of tea.
    aspect_ratio: 16:9
""",
        """\
name: tea
steps:
  photo:
    kind: generate_image
    model: black-forest-labs/flux-1-schnell
    prompt: A pot of tea.
    aspect_ratio: 4:3
""",
    ),
    Code(
        "E304",
        "unknown-parameter",
        "The model does not have this parameter",
        "The key is one that steps of this kind have, but this model would ignore it. runner models ID lists what a "
        "model takes; options: passes on anything else as it stands.",
        """\
name: tea
steps:
  photo:
    kind: generate_image
    model: black-forest-labs/flux-1-schnell
    prompt: A pot of tea.
    safety_checker: false
""",
        """\
name: tea
steps:
  photo:
    kind: generate_image
    model: qwen/qwen-image
    prompt: A pot of tea.
    safety_checker: false
""",
    ),
    Code(
        "E305",
        "missing-parameter",
        "The model cannot do without this",
        "The kind of step leaves it open, but this model needs it.",
        """\
name: tea
steps:
  film:
    kind: generate_video
    model: vidu/q3-t2v
""",
        """\
name: tea
steps:
  film:
    kind: generate_video
    model: vidu/q3-t2v
    prompt: Tea is poured into a cup.
""",
    ),
    Code(
        "E306",
        "unpriced",
        "A budget needs a price that nobody knows",
        "A budget is kept by reserving the price of each call before it is sent. For a private endpoint or a server of "
        "your own, say what a call counts as.",
        """\
name: tea
budget: {usd: 1}
steps:
  draft:
    kind: generate_text
    model: abc123def456gh
    prompt: Write a line about tea.
""",
        """\
name: tea
budget: {usd: 1, unpriced: {count_as: 0.05}}
steps:
  draft:
    kind: generate_text
    model: abc123def456gh
    prompt: Write a line about tea.
""",
    ),
    Code(
        "E307",
        "tools",
        "A tool is not told as tools are",
        "A tool has a description, the JSON Schema of its input, which is a mapping, and what it returns.",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: openai/gpt-oss-120b
    prompt: What does green tea cost?
    tools:
      price:
        description: The price of a tea
        input: {type: string}
        returns: 3 EUR
""",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: openai/gpt-oss-120b
    prompt: What does green tea cost?
    tools:
      price:
        description: The price of a tea
        input: {type: object, properties: {leaf: {type: string}}}
        returns: 3 EUR
""",
    ),
    Code(
        "E308",
        "unknown-alias",
        "A profile gives another model for nothing",
        "An entry of models: in a profile takes the place of the pipeline's own entry of that name. Where models: has "
        "none of that name, no step could use it.",
        """\
name: tea
models:
  painter: {model: qwen/qwen-image}
profiles:
  draft:
    models: {paintr: {model: pruna/p-image-t2i}}
steps:
  photo: {kind: generate_image, model: painter, prompt: A pot of tea.}
""",
        """\
name: tea
models:
  painter: {model: qwen/qwen-image}
profiles:
  draft:
    models: {painter: {model: pruna/p-image-t2i}}
steps:
  photo: {kind: generate_image, model: painter, prompt: A pot of tea.}
""",
    ),
    # -- E4: the graph ----------------------------------------------------------------------------------
    Code(
        "E401",
        "loop",
        "Steps wait for each other",
        "A step waits for those whose outputs it reads. Where that leads back to itself, none could ever start.",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Make this shorter. {{ steps.short.text }}
  short:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Make this longer. {{ steps.draft.text }}
""",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write about tea.
  short:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Make this shorter. {{ steps.draft.text }}
""",
    ),
    Code(
        "E402",
        "fan-out",
        "The cells of a step cannot be told apart",
        "Each cell of a step with foreach: or matrix: has a key of its own, also where capitals are not told apart, "
        "and there are no more of them than limit: allows. key, limit, at_once and on_failure say nothing in a step "
        "that has one cell only.",
        """\
name: pots
steps:
  picture:
    kind: generate_image
    model: qwen/qwen-image
    foreach: [red pot, blue pot, red-pot]
    prompt: A {{ item }}.
""",
        """\
name: pots
steps:
  picture:
    kind: generate_image
    model: qwen/qwen-image
    foreach: [red pot, blue pot, green pot]
    prompt: A {{ item }}.
""",
    ),
    Code(
        "E403",
        "pick",
        "There is nothing to choose from",
        "pick: makes several candidates of what a step makes, one of which a person chooses. So the step has to make "
        "one text, picture, sound or video by asking a model, each candidate has to be another one, and they have to "
        "be kept until somebody has chosen. A step whose tools run pipelines cannot have candidates.",
        """\
name: tea
steps:
  photo:
    kind: generate_image
    model: qwen/qwen-image
    prompt: A pot of tea
    pick: {of: 4}
    cache: false
""",
        """\
name: tea
steps:
  photo:
    kind: generate_image
    model: qwen/qwen-image
    prompt: A pot of tea
    pick: {of: 4}
""",
    ),
    # -- E5: safety -------------------------------------------------------------------------------------
    Code(
        "E501",
        "secret",
        "Runpod's key would go where it must not",
        "RUNPOD_API_KEY is sent to Runpod by runner itself. It is never sent to another server, and no template can "
        "read it: it would stand in prompts, logs and files.",
        """\
name: tea
env: [RUNPOD_API_KEY]
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
""",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
""",
    ),
    # -- E7: tests of pipelines -------------------------------------------------------------------------
    Code(
        "E701",
        "asserts-nothing",
        "A case expects nothing",
        "A case that expects nothing holds whatever comes of it, as long as the run does not fail, and so says nothing "
        "about the pipeline. Say under expect: what must be so, if only {state: done}. A pattern or a schema that fits "
        "anything says nothing either.",
        """\
cases:
  a line:
    mode: {canned: {draft: {text: Steam.}}}
""",
        """\
cases:
  a line:
    mode: {canned: {draft: {text: Steam.}}}
    expect: {state: done}
""",
        _TESTED,
        TESTS,
    ),
    Code(
        "E702",
        "not-canned",
        "A step would call a model, and nothing is canned for it",
        "With mode: {canned: …} nobody is called: what steps would yield stands in the case. Each step that calls a "
        "model needs an entry, with every field that the pipeline reads of it.",
        """\
cases:
  a line:
    mode: {canned: {}}
    expect: {state: done}
""",
        """\
cases:
  a line:
    mode: {canned: {draft: {text: Steam.}}}
    expect: {state: done}
""",
        _TESTED,
        TESTS,
    ),
    Code(
        "E703",
        "unknown-output",
        "The pipeline has no such output",
        "What a case expects under outputs: stands there under the name that the pipeline gives it under its own "
        "outputs:, ending and all.",
        """\
cases:
  a line:
    expect: {outputs: {tea.md: {contains: tea}}}
""",
        """\
cases:
  a line:
    expect: {outputs: {tea.txt: {contains: tea}}}
""",
        _TESTED,
        TESTS,
    ),
    Code(
        "E704",
        "unknown-profile",
        "The pipeline has no such profile",
        "A case takes the pipeline as it is in a profile, by the name that this has under profiles: in the pipeline.",
        """\
cases:
  a line:
    profile: darft
    expect: {outputs: {tea.txt: {words: {at_least: 1}}}}
""",
        """\
cases:
  a line:
    profile: draft
    expect: {outputs: {tea.txt: {words: {at_least: 1}}}}
""",
        {FILE: _TESTED[FILE].replace("steps:", "profiles:\n  draft: {budget: {usd: 0.10}}\nsteps:", 1)},
        TESTS,
    ),
    # -- W: warnings ------------------------------------------------------------------------------------
    Code(
        "W601",
        "removed-model",
        "The model is no longer on Runpod's list",
        "It may still answer, and may stop to do so at any time.",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: deep-cogito/deep-cogito-v2-llama-70b
    prompt: Write a line about tea.
""",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
""",
    ),
    Code(
        "W602",
        "unused-step",
        "What a step yields is used by nobody",
        "The pipeline has outputs, and this step is neither one of them nor read, needed or awaited by another. It "
        "would be paid for all the same. Steps that act outside, call_endpoint and run_pipeline, are not meant. An "
        "approve step that nothing needs asks its question, and a no stops nothing.",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
  photo:
    kind: generate_image
    model: qwen/qwen-image
    prompt: A pot of tea.
outputs:
  tea.txt: "{{ steps.draft.text }}"
""",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
  photo:
    kind: generate_image
    model: qwen/qwen-image
    prompt: A pot of tea.
outputs:
  tea.txt: "{{ steps.draft.text }}"
  tea.png: "{{ steps.photo.image }}"
""",
    ),
    Code(
        "W603",
        "unused-input",
        "An input is read by nobody",
        "Whoever fills it in will wonder why nothing changes. Mostly its name was meant to stand in a prompt.",
        """\
name: tea
inputs:
  leaf: {type: string, default: oolong}
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about the leaf.
""",
        """\
name: tea
inputs:
  leaf: {type: string, default: oolong}
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about {{ inputs.leaf }}.
""",
    ),
    Code(
        "W604",
        "open-seed",
        "A locked pipeline leaves a seed open",
        "The pipeline has a lock beside it, and the step makes its picture, film or voice from a seed that the file "
        "does not name. runner then derives one from the names of the pipeline and the step, so that renaming one of "
        "them would make, and pay for, another picture. Write the seed that the lock names.",
        """\
name: tea
steps:
  photo:
    kind: generate_image
    model: qwen/qwen-image
    prompt: A pot of tea.
outputs:
  tea.png: "{{ steps.photo.image }}"
""",
        """\
name: tea
steps:
  photo:
    kind: generate_image
    model: qwen/qwen-image
    prompt: A pot of tea.
    seed: 7
outputs:
  tea.png: "{{ steps.photo.image }}"
""",
        {"pipeline.lock.yaml": "format: 1\npipeline: tea\ncells: {}\n"},
    ),
    Code(
        "W605",
        "small-budget",
        "A budget is below the price of one call",
        "As far as can be told without the inputs of a run, not even one call fits, so the step would never be made.",
        """\
name: tea
budget: {usd: 0.01}
steps:
  photo:
    kind: generate_image
    model: qwen/qwen-image
    prompt: A pot of tea.
""",
        """\
name: tea
budget: {usd: 0.10}
steps:
  photo:
    kind: generate_image
    model: qwen/qwen-image
    prompt: A pot of tea.
""",
    ),
    Code(
        "W606",
        "doubtful-tools",
        "Nobody says that the model can call tools",
        "It may answer in words where a call is wanted. runner models lists which models have the ability tools.",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: ibm-granite/granite-4.0-h-small
    prompt: What does green tea cost?
    tools:
      price:
        description: The price of a tea
        input: {type: object, properties: {leaf: {type: string}}}
        returns: 3 EUR
""",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: openai/gpt-oss-120b
    prompt: What does green tea cost?
    tools:
      price:
        description: The price of a tea
        input: {type: object, properties: {leaf: {type: string}}}
        returns: 3 EUR
""",
    ),
    Code(
        "W607",
        "written-key",
        "A key stands in the file",
        "Pipelines are shared and kept in git, and whoever reads one can use a key that stands in it. What runner "
        "shows of such a line hides the key. Take it out, and have a new one made: the old one may have been seen.",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea. My key is rpa_EXAMPLE0EXAMPLE1EXAMPLE2EXAMPLE3.
""",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
""",
    ),
    Code(
        "W608",
        "same-candidates",
        "The candidates will be the same",
        "At temperature 0 a language model gives the likeliest answer each time, so that there is nothing to choose "
        "from, and each candidate is paid for.",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
    temperature: 0
    pick: {of: 3}
""",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about tea.
    temperature: 0.9
    pick: {of: 3}
""",
    ),
    Code(
        "W609",
        "same-name",
        "Two pipelines of a project have the same name",
        "The outputs of a pipeline go to out/NAME, so both write into one folder. A run does not write over what the "
        "other one wrote there: it says so and ends. Check the files together to be told before. Seeds that no file "
        "names follow from the name, so another name makes other pictures.",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about green tea.
outputs:
  tea.txt: "{{ steps.draft.text }}"
""",
        """\
name: green-tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: Write a line about green tea.
outputs:
  tea.txt: "{{ steps.draft.text }}"
""",
        {"black.yaml": _TESTED[FILE]},
    ),
    Code(
        "W610",
        "curly-quotes",
        "Quotes that YAML does not know",
        "Word processors and chats turn straight quotes into curly ones. To YAML these are letters: they go out with "
        "the text, and a template or a number in them is no longer what it was. If they are meant, put straight ones "
        "around them.",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: “Write a line about tea.”
""",
        """\
name: tea
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: "Write a line about tea."
""",
    ),
    Code(
        "W611",
        "cut-text",
        "A text ends before a #, or begins behind an &",
        "In a text without quotes # after a blank begins a comment: the rest of the line is not part of the text, and "
        "no model reads it. This is told where something stands right behind #, as in a colour or a number; a comment "
        "with a blank behind # is one. A word with & before it, where a text begins, is the name of an anchor, by "
        "which *name repeats the text; it is no part of the text either.",
        """\
name: tea
steps:
  photo:
    kind: generate_image
    model: qwen/qwen-image
    prompt: A pot of tea on a table of the colour #ff0000
""",
        """\
name: tea
steps:
  photo:
    kind: generate_image
    model: qwen/qwen-image
    prompt: "A pot of tea on a table of the colour #ff0000" # red
""",
    ),
    Code(
        "W612",
        "dollar-name",
        "An input is named in the way of another language",
        "$leaf and ${leaf} are how a shell names a value, and {leaf} is how a program does. In a template it is "
        "{{ inputs.leaf }}; anything else a model is sent as it stands. This is told of names of inputs and, with a "
        "dollar, of env: only: $5 is a price. A template in the default of an input is none either.",
        """\
name: tea
inputs:
  leaf: {type: string, default: oolong}
steps:
  photo:
    kind: generate_image
    model: qwen/qwen-image
    prompt: A cup of $leaf tea.
""",
        """\
name: tea
inputs:
  leaf: {type: string, default: oolong}
steps:
  photo:
    kind: generate_image
    model: qwen/qwen-image
    prompt: A cup of {{ inputs.leaf }} tea.
""",
    ),
)

BY_NAME: Mapping[str, Code] = {code.name: code for code in CODES}
