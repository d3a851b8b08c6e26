"""A pipeline as a graph: for the terminal, for Markdown, as a picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.reports import drawing
from runner.reports.graph import Graph, Link, Node, mermaid, text
from runner.reports.layout import layout

from .conftest import REPO, Cli

SHOP = """
name: shop
inputs:
  names: {type: list, items: {type: string}}
steps:
  ideas: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: Name five pots.}
  other: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: Name five pans.}
  picture:
    kind: generate_image
    model: qwen/qwen-image
    foreach: "{{ inputs.names }}"
    matrix: {light: [day, night]}
    prompt: "{{ item }} by {{ matrix.light }}, {{ steps.ideas.text }}"
  edit:
    kind: edit_image
    model: qwen/qwen-image-edit
    foreach: "{{ steps.picture }}"
    image: "{{ item.image }}"
    needs: [other]
    prompt: The same pot in autumn.
  inner: {kind: run_pipeline, file: inner.yaml, after: [edit]}
  end: {kind: render_text, text: "{{ steps.inner.outputs['a.txt'] }} {{ steps.other.text }} {{ steps.ideas.text }}"}
"""
INNER = """
name: poster
steps:
  slogan: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: A slogan.}
  loud: {kind: render_text, text: "{{ steps.slogan.text }}!"}
outputs: {a.txt: "{{ steps.loud.text }}"}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "inner.yaml").write_text(INNER)
    (tmp_path / "shop.yaml").write_text(SHOP)
    return tmp_path / "shop.yaml"


# -- text -------------------------------------------------------------------------------------------


def test_a_graph_in_the_terminal_has_a_line_a_step_and_says_why_each_waits(cli: Cli, shop: Path) -> None:
    done = cli("graph", shop, "-i", "names=[red, blue]")

    assert done.out == (
        "shop\n"
        "\n"
        "●      ideas        generate_text · qwen/qwen3-32b-awq\n"
        "│ ●    other        generate_text · qwen/qwen3-32b-awq\n"
        "├─│─╮  prompt reads ideas\n"
        "│ │ ●  picture × 4  generate_image · qwen/qwen-image\n"
        "│ ├┄┤  foreach reads picture; needs other\n"
        "│ │ ●  edit × 4     edit_image · qwen/qwen-image-edit\n"
        "│ │ ┆  after edit\n"
        "│ │ ●  inner        run_pipeline\n"
        "│ │ │    ┌ poster\n"
        "│ │ │    │ ●  slogan  generate_text · qwen/qwen3-32b-awq\n"
        "│ │ │    │ │  text reads slogan\n"
        "│ │ │    │ ●  loud    render_text\n"
        "│ │ │    └\n"
        "├─┴─╯  text reads inner; text reads other; text reads ideas\n"
        "●      end          render_text\n"
    )


def test_cells_that_only_the_run_will_know_are_not_guessed(cli: Cli, shop: Path) -> None:
    done = cli("graph", shop)

    assert "picture × ?" in done.out
    assert "edit × ?" in done.out


def test_a_terminal_without_unicode_gets_a_graph_in_ascii() -> None:
    found = Graph("tea", [Node("a", "x"), Node("b", "y", "m", fanned_out=True, cells=3)], [Link("a", "b", "after")])

    assert text(found, plain=True) == "tea\n\no  a      x\n:  after a\no  b x 3  y - m"


def test_an_input_that_is_not_declared_is_told(cli: Cli, shop: Path) -> None:
    done = cli("graph", shop, "-i", "name=x")

    assert done.code == 2
    assert done.err == "Error: The pipeline has no input name. Did you mean names?\n"


def test_a_pipeline_with_problems_has_no_graph(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "tea.yaml").write_text("name: tea\nsteps:\n  a: {kind: render_text, text: '{{ steps.b.text }}'}\n")

    done = cli("graph", "tea.yaml")

    assert done.code == 2
    assert "There is no step b" in done.err
    assert not done.out


# -- Mermaid ----------------------------------------------------------------------------------------


def test_a_flowchart_tells_data_from_order_and_groups_what_is_inside(cli: Cli, shop: Path) -> None:
    lines = cli("graph", shop, "--format", "mermaid").out.splitlines()

    assert lines[:4] == ["---", 'title: "shop"', "---", "flowchart TD"]
    assert '  s_picture[["picture × ?<br>generate_image<br>qwen/qwen-image"]]' in lines
    assert '  s_ideas -->|"prompt"| s_picture' in lines
    assert '  s_other -.->|"needs"| s_edit' in lines
    assert '  s_edit -.->|"after"| s_inner' in lines
    start = lines.index('  subgraph s_inner["inner: poster"]')
    assert lines[start + 3 : start + 5] == ['    s_inner__slogan -->|"text"| s_inner__loud', "  end"]


def test_words_of_mermaid_and_of_html_are_only_text() -> None:
    found = mermaid(Graph('a "b"\nc', [Node("end", "x", '<b>"`#')]))

    assert 'title: "a \\"b\\" c"' in found
    assert 's_end["end<br>x<br>#lt;b#gt;#quot;#96;#35;"]' in found


# -- SVG --------------------------------------------------------------------------------------------


def test_a_picture_stands_alone_and_is_for_light_and_dark(cli: Cli, shop: Path) -> None:
    done = cli("graph", shop, "--format", "svg")

    root = ET.fromstring(done.out)  # noqa: S314 - our own
    words = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"shop", "picture × ?", "generate_image", "runs poster", "slogan", "waits for its end"} <= set(words)
    assert "prefers-color-scheme:dark" in done.out
    assert done.out.count("http") == 1  # the name of the format; nothing is fetched
    assert {each.get("class") for each in root.iter("{http://www.w3.org/2000/svg}path")} >= {
        "wire data", "wire needs", "wire after",
    }  # fmt: skip


def test_whatever_a_model_is_called_the_picture_is_well_formed() -> None:
    name = "</text><script>alert(1)</script>\x07&\"'"

    drawn = drawing.svg(Graph(name, [Node("a", "x", name)]))

    root = ET.fromstring(drawn)  # noqa: S314 - our own
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
    assert "<script" not in drawn


def test_all_examples_can_be_drawn(cli: Cli) -> None:
    for path in sorted(p for p in (REPO / "pipelines").glob("*.yaml") if ".test" not in p.suffixes):
        for form in ("text", "mermaid", "svg"):
            assert cli("graph", path, "--format", form).code == 0


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, tuple[float, float]], list[tuple[str, str]]]:
    count = draw(st.integers(1, 14))
    names = [f"s{i}" for i in range(count)]
    size = st.floats(20, 300)
    sizes = {name: (draw(size), draw(size)) for name in names}
    pairs = list(combinations(names, 2))
    return sizes, draw(st.lists(st.sampled_from(pairs), unique=True, max_size=30)) if pairs else []


@given(graphs(), st.booleans())
def test_boxes_never_overlap_and_links_begin_and_end_at_their_boxes(
    graph: tuple[dict[str, tuple[float, float]], list[tuple[str, str]]], sideways: bool
) -> None:
    sizes, links = graph

    found = layout(sizes, links, sideways=sideways)

    boxes = {name: (*found.places[name], *sizes[name]) for name in sizes}
    for (x, y, w, h), (a, b, c, d) in combinations(boxes.values(), 2):
        assert x + w <= a + 0.01 or a + c <= x + 0.01 or y + h <= b + 0.01 or b + d <= y + 0.01
    for x, y, w, h in boxes.values():
        assert x >= -0.01
        assert y >= -0.01
        assert x + w <= found.width + 0.01
        assert y + h <= found.height + 0.01
    along = 0 if sideways else 1
    for (source, target), path in zip(links, found.paths, strict=True):
        assert path[0][along] == pytest.approx(boxes[source][along] + boxes[source][2 + along])
        assert path[-1][along] == pytest.approx(boxes[target][along])
        assert [point[along] for point in path] == sorted(point[along] for point in path)
        for one, other in pairwise(path):
            left, right = sorted((one[1 - along], other[1 - along]))
            for box in boxes.values():  # a box is drawn over the links, so none may lie on its way
                beside = box[1 - along] >= right - 0.01 or box[1 - along] + box[3 - along] <= left + 0.01
                before = box[along] >= other[along] - 0.01 or box[along] + box[2 + along] <= one[along] + 0.01
                assert beside or before


def test_a_thousand_steps_are_laid_out_while_one_waits() -> None:
    names = [f"s{i}" for i in range(1000)]
    sizes = dict.fromkeys(names, (120.0, 60.0))
    links = [(names[i // 3], names[i]) for i in range(1, 1000)]

    found = layout(sizes, links, sideways=False)

    assert len({found.places[name] for name in names}) == 1000
    assert found.height < 1200
