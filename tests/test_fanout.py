"""Conditions, fan-out, cell-to-cell edges, limits: against the emulator, on asyncio and trio."""

from __future__ import annotations

import pytest

from runner.emulator import Emulator, Latency
from runner.events import CallStarted, CellBlocked, CellDone, Event, StepOpened
from runner.outputs import outputs_of

from .conftest import Bench

pytestmark = pytest.mark.anyio

TEXT = "kind: generate_text, model: qwen/qwen3-32b-awq"
PICTURE = "kind: generate_image, model: qwen/qwen-image, size: 512x512"
LOCAL = "kind: parse_json"


def pipeline(steps: str, head: str = "") -> str:
    return f"name: f\n{head}\nsteps:\n{steps}"


async def test_a_literal_list_makes_a_cell_for_each_item(bench: Bench, emulator: Emulator) -> None:
    ran = await bench.run(
        pipeline(f"  pot: {{{TEXT}, foreach: [red pot, blue pot], prompt: 'A {{{{ item }}}}, number {{{{ index }}}}'}}")
    )

    assert ran.ends() == {"pot[red-pot]": "done", "pot[blue-pot]": "done"}
    prompts = [r.body["messages"][0]["content"] for r in emulator.requests if isinstance(r.body, dict)]
    assert sorted(prompts) == ["A blue pot, number 1", "A red pot, number 0"]


async def test_a_list_of_the_run_is_multiplied_by_and_read_as_a_whole(bench: Bench) -> None:
    ran = await bench.run(
        """
        name: f
        steps:
          list: {kind: parse_json, text: '["a", "b", "c"]', schema: {type: array, items: {type: string}}}
          cell: {kind: parse_json, foreach: "{{ steps.list.data }}", text: '{"v": "{{ item }}!"}'}
          all: {kind: parse_json, text: "{{ steps.cell | map(attribute='data.v') | list | tojson }}"}
        outputs:
          all: "{{ steps.all.data }}"
          first: "{{ steps.cell[0].data.v }}"
          named: "{{ steps.cell['c'].key }}"
          count: "{{ steps.cell | length }}"
        """
    )

    assert ran.output("all") == ["a!", "b!", "c!"]
    assert (ran.output("first"), ran.output("named"), ran.output("count")) == ("a!", "c", 3)


async def test_a_matrix_makes_a_cell_for_each_combination(bench: Bench) -> None:
    ran = await bench.run(
        """
        name: f
        steps:
          cell:
            kind: parse_json
            matrix:
              season: [summer, winter]
              light: [day, night]
              exclude: [{season: winter, light: night}]
              include: [{season: autumn, light: dusk}]
            text: '["{{ matrix.season }} {{ matrix.light }}"]'
        outputs: {all: "{{ steps.cell | map(attribute='data') | list }}"}
        """
    )

    assert ran.output("all") == [["summer day"], ["summer night"], ["winter day"], ["autumn dusk"]]
    assert list(ran.ends()) == [
        "cell[summer-day]", "cell[summer-night]", "cell[winter-day]", "cell[autumn-dusk]",
    ]  # fmt: skip


async def test_foreach_times_matrix_keeps_the_items_slowest(bench: Bench) -> None:
    ran = await bench.run(
        pipeline(f"  c: {{{LOCAL}, foreach: [a, b], matrix: {{n: [1, 2]}}, text: '[{{{{ matrix.n }}}}]'}}")
    )

    assert list(ran.ends()) == ["c[a-1]", "c[a-2]", "c[b-1]", "c[b-2]"]


async def test_a_cell_starts_when_the_cell_that_it_follows_is_done(bench: Bench, emulator: Emulator) -> None:
    """Seven waits long for its text; every other edit is done by then."""
    emulator.latency = {"qwen-image-t2i": Latency(execution=0.0), "qwen3-32b-awq": Latency(execution=0.0)}
    emulator.fail("qwen3-32b-awq/chat=slow:2.5@3")
    order: list[str] = []

    def watch(event: Event) -> None:
        if isinstance(event, CellDone):
            order.append(event.cell)

    await bench.run(
        pipeline(
            f"  a: {{{TEXT}, foreach: [p, q, r, s, t], prompt: 'about {{{{ item }}}}'}}\n"
            f"  b: {{{PICTURE}, foreach: '{{{{ steps.a }}}}', prompt: 'of {{{{ item.item }}}}'}}"
        ),
        watch=watch,
    )

    late = next(cell for cell in reversed(order) if cell.startswith("a["))
    assert sorted(order[: order.index(late)]) == sorted(
        {f"{s}[{k}]" for s in "ab" for k in "pqrst"} - {late, f"b{late[1:]}"}
    )


async def test_a_chain_of_followers_carries_its_items_along(bench: Bench) -> None:
    ran = await bench.run(
        """
        name: f
        steps:
          a: {kind: parse_json, foreach: [x, y], text: '{"n": "{{ item }}"}'}
          b: {kind: parse_json, foreach: "{{ steps.a }}", text: '{"n": "{{ item.data.n }}b"}'}
          c:
            kind: parse_json
            foreach: "{{ steps.b }}"
            matrix: {m: [1, 2]}
            text: '["{{ item.data.n }}{{ matrix.m }}"]'
        outputs:
          all: "{{ steps.c | map(attribute='data') | list }}"
          keys: "{{ steps.c | map(attribute='key') | list }}"
        """
    )

    assert ran.output("all") == [["xb1"], ["xb2"], ["yb1"], ["yb2"]]
    assert ran.output("keys") == ["x-1", "x-2", "y-1", "y-2"]


async def test_a_cell_that_follows_carries_what_it_followed_as_its_item(bench: Bench) -> None:
    ran = await bench.run(
        """
        name: f
        steps:
          a: {kind: parse_json, foreach: [x, y], text: '{"n": "{{ item }}"}'}
          b: {kind: parse_json, foreach: "{{ steps.a }}", text: '{"n": "{{ item.data.n }}b"}'}
          c: {kind: parse_json, foreach: "{{ steps.b }}", text: '["{{ item.item.item }}"]'}
        outputs:
          first: "{{ steps.c | map(attribute='data.0') | list }}"
          items: "{{ steps.b | map(attribute='item.data.n') | list }}"
        """
    )

    assert ran.output("first") == ["x", "y"]
    assert ran.output("items") == ["x", "y"]


async def test_a_word_with_accents_is_a_key_without_them(bench: Bench) -> None:
    ran = await bench.run(
        pipeline("  tea: {kind: render_text, foreach: [grün, Thé à la menthe, Weiß, 茶], text: '{{ item }}'}")
    )

    assert list(ran.ends()) == ["tea[grun]", "tea[The-a-la-menthe]", "tea[Weiss]", "tea[3]"]


async def test_a_cell_that_follows_may_be_named_by_the_key_of_what_it_follows(bench: Bench) -> None:
    ran = await bench.run(
        """
        name: f
        steps:
          a: {kind: parse_json, foreach: [x, y], text: '1'}
          b: {kind: parse_json, foreach: "{{ steps.a }}", key: "{{ key }}-big-{{ index }}", text: '2'}
        """
    )

    assert {"b[x-big-0]", "b[y-big-1]"} < set(ran.ends())


async def test_every_cell_has_a_number_of_its_own(bench: Bench) -> None:
    ran = await bench.run(
        """
        name: f
        steps:
          m: {kind: parse_json, matrix: {a: [x, y]}, text: '{{ index }}'}
          f: {kind: parse_json, foreach: [u, v], matrix: {a: [x, y]}, text: '{{ index }}'}
        outputs:
          m: "{{ steps.m | map(attribute='data') | list }}"
          f: "{{ steps.f | map(attribute='data') | list }}"
          same: "{{ steps.f | map(attribute='index') | list }}"
        """
    )

    assert ran.output("m") == [0, 1]
    assert ran.output("f") == ran.output("same") == [0, 1, 2, 3]


async def test_a_list_that_is_null_makes_no_cell(bench: Bench, emulator: Emulator) -> None:
    ran = await bench.run(
        pipeline(
            f"  d: {{{LOCAL}, text: '{{\"names\": null}}'}}\n"
            f"  a: {{{PICTURE}, foreach: '{{{{ steps.d.data.names }}}}', prompt: 'pot {{{{ index }}}}'}}"
        )
    )

    assert ran.ends() == {"d": "done", "a": "failed"}
    assert ran.state.cells["a"].message == "foreach needs a list; it is null"
    assert emulator.paid == 0


async def test_cells_that_follow_may_be_as_many_as_those_that_they_follow(bench: Bench) -> None:
    ran = await bench.run(
        pipeline(
            f"  a: {{{LOCAL}, foreach: '{{{{ range(1200) | list }}}}', limit: 2000, text: '1'}}\n"
            f"  b: {{{LOCAL}, foreach: '{{{{ steps.a }}}}', text: '2'}}"
        )
    )

    assert len(ran.ends()) == 2400


async def test_a_failed_cell_blocks_the_cell_that_follows_it_and_readers_of_the_whole(bench: Bench) -> None:
    ran = await bench.run(
        """
        name: f
        steps:
          a: {kind: parse_json, foreach: ["1", "no json", "3"], key: "c{{ index }}", text: "[{{ item }}]"}
          b: {kind: parse_json, foreach: "{{ steps.a }}", text: "{{ item.data }}"}
          whole: {kind: parse_json, text: "{{ steps.a | length }}"}
          anyway: {kind: parse_json, text: "{{ steps.a | length }}", after: [a]}
        outputs: {done: "{{ steps.anyway.data }}"}
        """
    )

    assert ran.ends() == {
        "a[c0]": "done", "a[c1]": "failed", "a[c2]": "done",
        "b[c0]": "done", "b[c1]": "blocked", "b[c2]": "done",
        "whole": "blocked", "anyway": "done",
    }  # fmt: skip
    assert 'item: the text "no json"' in ran.state.cells["a[c1]"].message
    assert [event.by for event in ran.said(CellBlocked)] == ["a[c1]", "a"]
    assert ran.output("done") == 2


async def test_an_empty_list_is_said_and_its_readers_run(bench: Bench) -> None:
    ran = await bench.run(
        """
        name: f
        inputs: {names: {type: list, default: []}}
        steps:
          a: {kind: parse_json, foreach: "{{ inputs.names }}", text: "1"}
          b: {kind: parse_json, text: "{{ steps.a | length }}"}
        outputs: {n: "{{ steps.b.data }}"}
        """
    )

    assert [(event.step, event.cells) for event in ran.said(StepOpened)] == [("a", 0)]
    assert ran.output("n") == 0


@pytest.mark.parametrize(("season", "ends"), [("winter", "done"), ("summer", "skipped")])
async def test_a_step_runs_only_when_its_condition_is_true(bench: Bench, season: str, ends: str) -> None:
    ran = await bench.run(
        """
        name: f
        inputs: {season: {type: string}}
        steps:
          snow: {kind: parse_json, when: "{{ inputs.season == 'winter' }}", text: "1"}
          reader: {kind: parse_json, text: "{{ steps.snow.data }}"}
          after: {kind: parse_json, text: "2", after: [snow]}
        """,
        inputs={"season": season},
    )

    assert ran.ends() == {"snow": ends, "reader": ends, "after": "done"}


async def test_a_condition_on_the_item_skips_that_cell_and_what_follows_it(bench: Bench) -> None:
    ran = await bench.run(
        """
        name: f
        steps:
          a: {kind: parse_json, foreach: [1, 2], key: "k{{ item }}", when: "{{ item > 1 }}", text: "[{{ item }}]"}
          b: {kind: parse_json, foreach: "{{ steps.a }}", text: "{{ item.data }}"}
          n: {kind: parse_json, text: "{{ steps.a | length }}"}
        outputs: {n: "{{ steps.n.data }}"}
        """
    )

    assert ran.ends() == {"a[k1]": "skipped", "a[k2]": "done", "b[k1]": "skipped", "b[k2]": "done", "n": "done"}
    assert ran.output("n") == 1


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("foreach: '{{ steps.data.data.number }}', text: '1'", "foreach needs a list; it is the integer 7"),
        ("foreach: '{{ steps.data.data.text }}', text: '1'", 'foreach needs a list; it is the text "hello"'),
        ("foreach: '{{ steps.data.data.same }}', text: '1'", 'items 1 and 3 are both the text "x"; remove one'),
        ("foreach: '{{ steps.data.data.same }}', key: 'a/{{ index }}', text: '1'", "'a/0' (item 1: the text \"x\")"),
        (
            "foreach: '{{ steps.data.data.up }}', key: '{{ item }}', text: '1'",
            "'..' (item 2: the text \"..\") is not a key",
        ),
        ("foreach: '{{ steps.data.data.case }}', text: '1'", "one file on many disks, a-B and A-b"),
        ("foreach: '{{ range(1001) | list if steps.data.data else [] }}', text: '1'", "limit: 1001"),
        ("matrix: {a: '{{ steps.data.data.empty }}'}, text: '1'", "matrix: a is empty"),
        ("matrix: {a: '{{ steps.data.data.text }}'}, text: '1'", "matrix: a must be a list"),
        ("when: '{{ steps.data.data.text }}', text: '1'", 'must yield true or false; it yields the text "hello"'),
    ],
)
async def test_a_step_that_cannot_be_multiplied_fails_with_a_sentence(bench: Bench, step: str, words: str) -> None:
    data = '{"number": 7, "text": "hello", "same": ["x", "y", "x"], "empty": []'
    data += ', "up": ["a", ".."], "case": ["a B", "A b"]}'

    ran = await bench.run(
        pipeline(
            f"  data: {{{LOCAL}, text: '{data}'}}\n  c: {{{LOCAL}, {step}}}\n  d: {{{LOCAL}, text: '1', needs: [c]}}"
        )
    )

    assert ran.ends() == {"data": "done", "c": "failed", "d": "blocked"}
    assert words in ran.state.cells["c"].message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ steps.s.text | default('none') }}", "none"),
        ("{{ steps.s['text'] | default('none') }}", "none"),
        ("{{ steps.g.data.deeper[0] | d('none') }}", "none"),
        ("{% if steps.s is defined %}there{% else %}none{% endif %}", "none"),
        ("{{ steps.f.data | default('none') }}", "none"),
        ("{{ steps.c['k1'].text | default('none') }}", "none"),
        ("{{ steps.c[inputs.n].text | default('none') }}", "steps.c has 1 done cell, and none at 7"),
        ("{{ steps.s.text }}", "steps.s was skipped; write | default('…') for another value"),
        ("{{ steps.s | length }}", "steps.s was skipped"),
        ("{{ steps.f.data }}", "steps.f failed"),
        ("{{ steps.b.text }}", "steps.b could not run"),
        ("{{ steps.c['k1'].text }}", "steps.c['k1'] was skipped"),
        ("{{ steps.c[inputs.no].text }}", "steps.c has no cell k9; it has k2, k1"),
        ("{{ [steps.d.data.z, 1][0].x }}", "null has no field x"),
        ("{{ steps.d.data.n }}", "there is no field n; there are m, z"),
        ("{{ steps.d.data.m[3] }}", "the list has 1 item, and none at 3"),
        ("{{ [steps.c, 1][0].text }}", "steps.c makes several cells, and text is a field of each"),
    ],
)
async def test_what_a_step_did_not_yield_has_a_default_or_a_sentence(bench: Bench, text: str, said: str) -> None:
    ran = await bench.run(
        f"""
        name: f
        inputs: {{no: {{type: string, default: k9}}, n: {{type: integer, default: 7}}}}
        steps:
          s: {{kind: render_text, when: false, text: never}}
          f: {{kind: parse_json, text: no}}
          g: {{kind: parse_json, when: false, text: never}}
          b: {{kind: render_text, needs: [f], text: never}}
          c: {{kind: render_text, foreach: [1, 2], key: "k{{{{ item }}}}", when: "{{{{ item > 1 }}}}", text: "x"}}
          d: {{kind: parse_json, text: '{{"m": [1], "z": null}}'}}
          t:
            kind: render_text
            after: [s, f, g, b, c]
            text: "{text}"
        """
    )

    cell = ran.state.cells["t"]
    assert said in (cell.message if cell.output is None else cell.output.values["text"])


@pytest.mark.parametrize(
    ("matrix", "keys"),
    [
        ("hd: [true, false], n: [null, 1.5]", ["true-null", "true-1.5", "false-null", "false-1.5"]),
        ("a: [[x], {y: 1}, z]", ["0", "1", "z"]),
        ("a: [赤, 青], b: [x, y]", ["0-x", "0-y", "1-x", "1-y"]),
        ("a: [x], include: [{a: [9]}, {a: [8]}]", ["x", "1", "2"]),
        (f"a: [{'x' * 60}, y], b: [{'z' * 70}]", [f"{'x' * 60}-0", f"y-{'z' * 70}"]),
    ],
    ids=["true, false, null", "lists and mappings", "letters that keys lack", "what is included", "too long together"],
)
async def test_a_combination_has_a_key_of_words_where_its_values_are(
    bench: Bench, matrix: str, keys: list[str]
) -> None:
    ran = await bench.run(pipeline(f"  c: {{{LOCAL}, matrix: {{{matrix}}}, text: '1'}}"))

    assert list(ran.ends()) == [f"c[{key}]" for key in keys]


@pytest.mark.parametrize(
    ("step", "cell", "words"),
    [
        ("matrix: {a: [1, 2]}, text: '{{ 1 / (matrix.a - 1) }}'", "c[1]", 'division by zero (matrix: {"a": 1})'),
        (
            "foreach: [p], matrix: {a: [x]}, text: '{{ 1 / (0 | abs) }}'",
            "c[p-x]",
            '(item: the text "p", matrix: {"a": "x"})',
        ),
        ("foreach: '{{ steps.d }}', text: '{{ 1 / (0 | abs) }}'", "c[k]", "division by zero (key: k)"),
        ("foreach: [1], when: '{{ 1 / (item - 1) > 0 }}', text: x", "c[0]", "when: the template cannot be rendered"),
        ("when: '{{ 1 / (0 | abs) > 0 }}', text: x", "c", "when: the template cannot be rendered: division by zero"),
        (
            "foreach: '{{ [1 / (0 | abs)] }}', text: x",
            "c",
            "foreach: the template cannot be rendered: division by zero",
        ),
        (
            "matrix: {a: '{{ [1 / (0 | abs)] }}'}, text: x",
            "c",
            "matrix: the template cannot be rendered: division by zero",
        ),
    ],
    ids=["a combination", "an item of a combination", "what follows", "when, by cell", "when", "foreach", "matrix"],
)
async def test_a_failure_says_of_what_and_in_which_key(bench: Bench, step: str, cell: str, words: str) -> None:
    ran = await bench.run(
        pipeline(f"  d: {{kind: render_text, foreach: [k], text: x}}\n  c: {{kind: render_text, {step}}}")
    )

    assert ran.ends()[cell] == "failed"
    assert words in ran.state.cells[cell].message


async def test_pictures_in_a_matrix_are_told_apart_by_their_place(bench: Bench) -> None:
    ran = await bench.run(
        pipeline(
            f"  p: {{{PICTURE}, foreach: [a, b], prompt: '{{{{ item }}}}'}}\n"
            f"  c: {{{LOCAL}, matrix: {{of: '{{{{ steps.p }}}}', n: [x]}}, text: '[{{{{ index }}}}]'}}"
        )
    )

    assert list(ran.ends())[-2:] == ["c[0-x]", "c[1-x]"]


async def test_two_outputs_are_never_written_into_one(bench: Bench) -> None:
    ran = await bench.run(
        """
        name: f
        steps:
          c: {kind: parse_json, foreach: "{{ range(12) | list }}", text: "[{{ item }}]"}
        outputs:
          c-3: "{{ steps.c[0].data }}"
          "c-{key}": "{{ steps.c.data }}"
        """
    )

    values, missing, _ = outputs_of(ran.plan.outputs, ran.names)

    assert values["c-3"] == [0]
    assert values["c-4"] == [4]
    assert missing == {"c-{key}": "c-3: it is a name of c-3 too; rename one, which costs nothing"}


async def test_more_than_a_thousand_cells_need_a_limit_that_says_so(bench: Bench) -> None:
    ran = await bench.run(
        pipeline(f"  c: {{{LOCAL}, foreach: '{{{{ range(1500) | list }}}}', limit: 2000, text: '{{{{ item }}}}'}}")
    )

    assert set(ran.ends().values()) == {"done"}
    assert len(ran.ends()) == 1500


async def test_a_model_and_a_step_have_limits_of_their_own(bench: Bench, emulator: Emulator) -> None:
    emulator.latency = Latency(execution=0.03)
    high = {"a": 0, "b": 0, "c": 0}
    now = {"a": 0, "b": 0, "c": 0}

    def watch(event: Event) -> None:
        step = getattr(event, "cell", "")[:1]
        if isinstance(event, CallStarted):
            now[step] += 1
            high[step] = max(high[step], now[step])
            high["a"] = max(high["a"], now["a"] + now["b"])
        elif isinstance(event, CellDone):
            now[step] -= 1

    await bench.run(
        f"""
name: f
models: {{slow: {{model: qwen/qwen3-32b-awq}}}}
limits: {{calls: 9, per_model: {{slow: 2}}}}
steps:
  a: {{kind: generate_text, model: slow, foreach: [1, 2, 3, 4], prompt: "a {{{{ item }}}}"}}
  b: {{kind: generate_text, model: slow, foreach: [1, 2, 3, 4], prompt: "b {{{{ item }}}}"}}
  c: {{{PICTURE}, at_once: 3, foreach: [1, 2, 3, 4, 5, 6], prompt: "c {{{{ item }}}}"}}
""",
        watch=watch,
    )

    assert (high["a"], high["c"]) == (2, 3)
    assert emulator.peak == 5


async def test_cells_that_continue_a_chain_go_before_cells_that_start_one(bench: Bench, emulator: Emulator) -> None:
    emulator.latency = Latency(execution=0.01)
    order: list[str] = []

    def watch(event: Event) -> None:
        if isinstance(event, CallStarted):
            order.append(event.cell[0])

    await bench.run(
        pipeline(
            f"  a: {{{TEXT}, foreach: [1, 2, 3, 4, 5, 6], prompt: 'a {{{{ item }}}}'}}\n"
            f"  b: {{{TEXT}, foreach: '{{{{ steps.a }}}}', prompt: 'b {{{{ item.item }}}}'}}"
        ),
        calls=1,
        watch=watch,
    )

    assert "".join(order) == "ab" * 6


async def test_fail_fast_starts_nothing_new_and_keeps_what_is_in_flight(bench: Bench, emulator: Emulator) -> None:
    emulator.latency = {"qwen-image-t2i": Latency(execution=0.2)}
    emulator.fail("qwen3-32b-awq/chat=400")

    ran = await bench.run(
        pipeline(
            f"  bad: {{{TEXT}, prompt: x}}\n  slow: {{{PICTURE}, prompt: y}}\n"
            f"  next: {{{PICTURE}, prompt: '{{{{ steps.slow.seed }}}}'}}"
        ),
        fail_fast=True,
    )

    assert ran.ends() == {"bad": "failed", "slow": "done", "next": "cancelled"}
    assert "fail fast" in ran.state.cells["next"].message


async def test_fail_fast_starts_no_step_that_calls_nobody_either(bench: Bench) -> None:
    ran = await bench.run(
        pipeline(f"  bad: {{{LOCAL}, text: no}}\n  other: {{{LOCAL}, after: [bad], text: '1'}}"), fail_fast=True
    )

    assert ran.ends() == {"bad": "failed", "other": "cancelled"}


async def test_on_failure_stop_holds_cells_that_call_nobody(bench: Bench) -> None:
    ran = await bench.run(
        pipeline(f"  c: {{{LOCAL}, on_failure: stop, foreach: ['1', 'no', '3'], text: '{{{{ item }}}}'}}")
    )

    assert list(ran.ends().values()) == ["done", "failed", "cancelled"]


async def test_on_failure_stop_starts_no_more_cells_of_that_step(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("chat=400")

    ran = await bench.run(
        pipeline(f"  c: {{{TEXT}, at_once: 1, on_failure: stop, foreach: [1, 2, 3], prompt: '{{{{ item }}}}'}}")
    )

    assert list(ran.ends().values()) == ["failed", "cancelled", "cancelled"]
    assert emulator.count("chat") == 1


async def test_a_deadline_lets_nothing_new_in_and_lets_go_on_what_has_started(bench: Bench, emulator: Emulator) -> None:
    emulator.latency = Latency(execution=0.3)

    ran = await bench.run(
        pipeline(
            f"  a: {{{PICTURE}, prompt: x}}\n  b: {{{PICTURE}, prompt: '{{{{ steps.a.seed }}}}'}}",
            head="deadline: 100ms",
        )
    )

    assert ran.ends() == {"a": "done", "b": "cancelled"}
    assert "deadline" in ran.state.cells["b"].message


async def test_cells_wait_for_money_without_holding_a_place(bench: Bench, emulator: Emulator) -> None:
    """The first job needs a second try while everybody else waits for the money that it holds."""
    emulator.fail("status-sync=500*3")

    ran = await bench.run(
        pipeline(
            f"  c: {{{PICTURE}, foreach: [1, 2, 3], prompt: '{{{{ item }}}}', retry: {{wait: 0.05}}}}",
            head="budget: {usd: 0.045}",
        ),
        calls=1,
    )

    assert sorted(ran.ends().values()) == ["cancelled", "done", "done"]
    assert emulator.paid == 2


async def test_each_cell_is_kept_by_itself(bench: Bench, emulator: Emulator) -> None:
    text = pipeline(f"  c: {{{TEXT}, foreach: [a, b, c], prompt: 'on {{{{ item }}}}'}}")
    await bench.run(text)

    ran = await bench.run(text.replace("[a, b, c]", "[a, x, c]"))

    assert ran.ends() == {"c[a]": "cached", "c[x]": "done", "c[c]": "cached"}
    assert emulator.count("chat") == 4


async def test_an_output_named_by_cell_is_one_file_a_cell(bench: Bench) -> None:
    ran = await bench.run(
        """
        name: f
        steps:
          a: {kind: parse_json, foreach: [x, y], text: '["{{ item }}"]'}
        outputs:
          "{key}.json": "{{ steps.a.data }}"
          "all.json": "{{ steps.a | map(attribute='data') | list }}"
        """
    )

    values, missing, _ = outputs_of(ran.plan.outputs, ran.names)
    assert values == {"x.json": ["x"], "y.json": ["y"], "all.json": [["x"], ["y"]]}
    assert missing == {}


async def test_cells_that_waited_for_money_are_not_let_in_after_the_deadline(bench: Bench, emulator: Emulator) -> None:
    emulator.latency = Latency(execution=0.25)

    ran = await bench.run(
        pipeline(
            f"  c: {{{TEXT}, foreach: [1, 2, 3, 4, 5], prompt: '{{{{ item }}}}'}}",
            head="budget: {usd: 0.05}\ndeadline: 0.1",
        )
    )

    assert sorted(ran.ends().values()) == ["cancelled"] * 3 + ["done"] * 2
    assert emulator.count("chat") == 2
