"""A checked pipeline in, warnings out: what is right as it stands, and perhaps not meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from jinja2 import nodes

from . import braces, lockfile
from .checking import Checked
from .errors import Mark, Problem, one_line
from .fitting import takes_seed
from .inference import steps_read
from .kinds import KINDS, approve
from .pipeline import Pipeline
from .source import Document, Node, read_scalar
from .templates import Template, Tree, templates_of, texts_of

_ACTING = ("call_endpoint", "run_pipeline")
"""Kinds of steps that may be there for what they do elsewhere, and not for what they yield."""


def of(checked: Checked, is_file: Callable[[str], bool]) -> Iterator[Problem]:
    """All doubts; ``is_file`` says whether a name, as one would write it in the pipeline, is a file beside it."""
    meant = [*_dollars(checked), *_defaults(checked)]
    yield from (problem for _, problem in meant)
    yield from _inputs(checked, {name for name, _ in meant})
    yield from _steps(checked)
    yield from _seeds(checked, is_file)


def quotes(document: Document) -> Iterator[Problem]:
    """Texts in quotes that are none to YAML, as word processors and chats write them."""
    if not any(quote in document.text for pair in _CURLY for quote in pair):
        return
    nodes = [document.root] if document.root is not None else []
    while nodes:
        node = nodes.pop()
        children = (
            node.children.values() if isinstance(node.children, dict) else [(None, n) for n in node.children or ()]
        )
        nodes += [child for _, child in children]
        for event in [node.start, *(key for key, _ in children)]:
            text = getattr(event, "value", "")
            if len(text) > 1 and (text[0], text[-1]) in _CURLY and not event.style:
                mark = document.mark_of(event)
                what = f"{text[0]} and {text[-1]} are letters of this text, and no quotes."
                yield Problem("curly-quotes", what, mark, "Write straight quotes: \" or '.", warning=True)


_CURLY = {
    ("\u201c", "\u201d"), ("\u2018", "\u2019"),  # English
    ("\u201e", "\u201c"), ("\u201a", "\u2018"), ("\u201e", "\u201d"), ("\u201a", "\u2019"),  # German, Polish
    ("\u00ab", "\u00bb"), ("\u00bb", "\u00ab"), ("\u2039", "\u203a"), ("\u203a", "\u2039"),  # French, Danish
    ("\u201d", "\u201d"), ("\u2019", "\u2019"),  # Swedish
}  # fmt: skip
"""Quotes of many languages, open and closed."""


def comments(document: Document) -> Iterator[Problem]:
    """Texts without quotes that end before a # with something right behind it: ``Use the colour #ff0000``."""
    for path, node in _scalars(document.root, ()) if _CUT.search(document.text) else ():
        event = node.start
        cut = _CUT.match(document.text, event.end_mark.index)
        if cut is None or event.style or not isinstance(read_scalar(event.value), str) or not _is_text(path):
            continue
        line, column = event.end_mark.line + 1, event.end_mark.column + 1 + len(cut[1])
        mark = Mark(document.file, line, column, len(cut[2]), document.line(event.end_mark.line))
        what = (
            f"The text ends before {one_line(cut[2].split()[0].rstrip(',.;:'), 40)}: # after a blank begins a comment."
        )
        cure = 'Write quotes around the whole text: "…". If it is a comment, write a blank after #.'
        yield Problem("cut-text", what, mark, cure, warning=True)


def anchors(document: Document) -> Iterator[Problem]:
    """Texts without quotes that begin with &: their first word is the name of an anchor, and no part of them."""
    for event in document.unused:
        if " " not in event.value:
            continue  # not prose
        name = f"&{event.anchor}"
        mark = replace(document.mark_of(event), length=len(name))
        what = f"The text begins behind {one_line(name, 40)}: & begins the name of an anchor, which no alias uses."
        cure = 'Write quotes around the whole text: "…".'
        yield Problem("cut-text", what, mark, cure, warning=True)


_CUT = re.compile(r"([ \t]+)(#[^\s#=*-][^\r\n]*)")
"""What ends a text without quotes and does not look like a comment."""


def _scalars(node: Node | None, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Node]]:
    """The values that have no parts, each with the names of the keys that lead to it."""
    if node is None or node.children is None:
        yield from [(path, node)] if node is not None and hasattr(node.start, "value") else []
    elif isinstance(node.children, dict):
        for name, (_, child) in node.children.items():
            yield from _scalars(child, (*path, name))
    else:
        for child in node.children:
            yield from _scalars(child, path)


def _is_text(path: tuple[str, ...]) -> bool:
    """Whether what stands there is written for readers or for models, and is no word of ours."""
    match path:
        case ("description",) | ("outputs", *_) | ("steps", _, "foreach" | "matrix", *_):
            return True
        case ("inputs", _, word, *_):
            return word != "type"
        case ("steps" | "models", _, word, *_):
            wanted = (kind.PARAMS[word] for kind in KINDS.values() if word in kind.PARAMS)
            return any(not each.keys() & {"enum", "pattern", "plain", "artifact"} for each in wanted)
    return False


def of_all(pipelines: Iterable[Pipeline]) -> Iterator[Problem]:
    """Doubts of the pipelines of one project together: two that write into one folder, because it is named for them."""
    first: dict[str, Pipeline] = {}
    for pipeline in pipelines:
        other = first.setdefault(pipeline.name, pipeline) if pipeline.outputs else pipeline
        if other is not pipeline:
            what = f"{other.document.file} is called {pipeline.name}, too: both write into out/{pipeline.name}."
            mark = pipeline.document.mark(("name",))
            yield Problem("same-name", what, mark, "Give one of them another name.", warning=True)


def _inputs(checked: Checked, meant: Container[str]) -> Iterator[Problem]:
    for name in checked.pipeline.inputs:
        if name not in checked.inputs_read and name not in meant:
            mark = checked.pipeline.document.mark(("inputs", name), key=True)
            cure = f"Write {{{{ inputs.{name} }}}} where it is meant, or remove it."
            yield Problem("unused-input", f"Nothing reads the input {name}.", mark, cure, warning=True)


def _dollars(checked: Checked) -> Iterator[tuple[str, Problem]]:
    """Inputs and variables as a shell or a program would name them, in texts that a template may stand in."""
    pipeline = checked.pipeline
    trees: list[tuple[tuple[str | int, ...], Tree]] = [(("outputs",), pipeline.outputs)]
    trees += [(("models", name), alias.params) for name, alias in pipeline.models.items()]
    trees += [(("steps", name), step.params) for name, step in pipeline.steps.items()]
    for path, text in [found for place, tree in trees for found in texts_of(tree, place)]:
        for offset, length, name in [*braces.dollars(text), *braces.singles(text)]:
            owner = "env" if name in pipeline.env and text[offset] == "$" else "inputs"
            if name in pipeline.inputs or owner == "env":
                document, place = pipeline.place(path)
                what = f"{text[offset : offset + length]} is no template: it stays in the text as it is."
                cure = f"Write {{{{ {owner}.{name} }}}}."
                mark = document.mark_inside(place, offset, length)
                yield name, Problem("dollar-name", what, mark, cure, warning=True)


def _defaults(checked: Checked) -> Iterator[tuple[str, Problem]]:
    """Templates in the default of an input, with each input that they would read."""
    pipeline = checked.pipeline
    for name, declared in pipeline.inputs.items():
        for path, text in texts_of(declared.default, ("inputs", name, "default")):
            for found in braces.templates(text):
                what = f"{one_line(found[0], 40)} is no template here: a default stays as it is."
                cure = f"Write it where inputs.{name} is read."
                mark = pipeline.document.mark_inside(path, found.start(), len(found[0]))
                read = found["chain"].split(".")
                warned = Problem("dollar-name", what, mark, cure, warning=True)
                yield read[1] if read[0] == "inputs" and len(read) > 1 else "", warned
                break


def _steps(checked: Checked) -> Iterator[Problem]:
    """Of a pipeline without outputs nothing can be told: every step may be what it is for."""
    outputs = checked.pipeline.outputs
    if not outputs:
        return
    used = {edge.needs for step in checked.steps.values() for edge in step.edges}
    for template in [template for tree in outputs.values() for _, template in templates_of(tree)]:
        named = steps_read(template)
        if len(named) < sum(node.name == "steps" for node in template.tree.find_all(nodes.Name)):
            return  # it reads all steps at once
        used.update(named)
    for name, step in checked.steps.items():
        if name not in used and step.kind.NAME not in _ACTING:
            mark = checked.pipeline.document.mark(("steps", name), key=True)
            what, cure = f"Nothing reads the step {name}, and it is no output.", "Add it to outputs:, or remove it."
            if step.kind.NAME == approve.NAME:
                what, cure = f"No step needs {name}, so a no stops nothing.", _waiting(checked, name)
            yield Problem("unused-step", what, mark, cure, warning=True)


def _waiting(checked: Checked, name: str) -> str:
    """How steps and outputs wait for a yes: an output by reading it."""
    asked = checked.steps[name]
    cure = f"Write needs: [{name}] in the steps that are to wait"
    shown = {edge.needs for edge in asked.edges}
    for output, tree in checked.pipeline.outputs.items() if not asked.step.fanned_out else ():
        if isinstance(tree, Template) and _is_chain(tree.expression) and not shown.isdisjoint(steps_read(tree)):
            value = tree.text.strip().removeprefix("{{").removesuffix("}}").strip("- ")
            return f'{cure}. An output waits as {output}: "{{{{ {value} if steps.{name}.approved }}}}".'
    return f"{cure}."


def _is_chain(expression: nodes.Expr | None) -> bool:
    """Whether a template yields a field of a step, and nothing is done with it."""
    return isinstance(expression, nodes.Getattr | nodes.Getitem)


def _seeds(checked: Checked, is_file: Callable[[str], bool]) -> Iterator[Problem]:
    """Where there is a lock, of the pipeline or else of its profile: seeds that follow from names, which may change."""
    document = checked.pipeline.document
    lock = lockfile.beside(Path(document.file)).name
    if checked.pipeline.profile is not None and not is_file(lock):
        lock = lockfile.beside(Path(document.file), checked.pipeline.profile).name
    opened = {
        name: step
        for name, step in checked.steps.items()
        if step.model is not None and "seed" not in step.params and takes_seed(step.kind, step.model)
    }
    for name, step in opened.items() if opened and is_file(lock) else ():
        cure = f"Write seed: with the one in {lock}"
        if step.step.fanned_out:
            cure = 'Write seed: "{{ index }}", which makes others to be locked anew'
        elif step.step.pick is not None:  # candidates count up from the first, and the lock has the chosen one's
            cure += ", less as many as stand before the candidate that was picked"
        cure += ", or one"
        what = f"{name} is locked and has no seed: it follows from names, and changes with them."
        yield Problem("open-seed", what, document.mark(("steps", name), key=True), f"{cure} of your own.", warning=True)
