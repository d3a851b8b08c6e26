"""A database that is damaged: what is whole in it is found again, and the rest is told by journals."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import cache, salvage
from runner.emulator import Emulator, parse_latency
from runner.errors import CannotStart
from runner.model import Job, Reply, Ticket
from runner.store import DATABASE, Damaged, Row, Store, Table
from runner.witness import heard

from .conftest import Cli
from .test_cli import started, until

PIPELINE = """\
name: many
steps:
  words: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: "Name a teapot"}
  facts:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: 'Describe {{ steps.words.text }} as {"title": string}'
    schema: {type: object, required: [title], properties: {title: {type: string}}}
  photo:
    kind: generate_image
    model: pruna/p-image-t2i
    foreach: [red, blue]
    prompt: "a {{ item }} {{ steps.facts.data.title }}"
  warm:
    kind: edit_image
    model: pruna/p-image-edit
    foreach: "{{ steps.photo }}"
    image: "{{ item.image }}"
    prompt: warmer
  voice: {kind: generate_speech, model: resembleai/chatterbox-turbo, text: "{{ steps.words.text }}"}
  heard: {kind: transcribe_audio, model: pruna/whisper-v3-large, audio: "{{ steps.voice.audio }}"}
  own: {kind: call_endpoint, model: 4m7x2k9q1a, input: {n: 1, image: "{{ steps.photo['red'].image }}"}}
outputs:
  "{key}.png": "{{ steps.warm.image }}"
  words.txt: "{{ steps.heard.text }}"
  own.json: "{{ steps.own.data }}"
"""
CALLS = 9
STORE = Path(".runner/store")


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def states(cli: Cli, *words: str) -> dict[str, str]:
    """How each cell of another run ends."""
    done = cli("run", "many.yaml", "--local=emulator", "--json", *words)
    assert done.code == 0, done.err
    return {cell["cell"]: cell["state"] for cell in json.loads(done.out)["cells"]}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the pipeline has run."""
    folder = tmp_path_factory.mktemp("made")
    (folder / ".git").mkdir()
    (folder / "many.yaml").write_text(PIPELINE)
    process = started("run", "many.yaml", "--local=emulator", folder=folder)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    return folder


@pytest.fixture
def here(made: Path, cli: Cli, tmp_path: Path) -> Path:
    """A copy of that project, in which the command runs."""
    del cli
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


# -- bytes in, rows out -----------------------------------------------------------------------------

ROWS = 60
Rows: TypeAlias = dict[tuple[Table, str], Row]
Content: TypeAlias = tuple[bytes, bytes, Rows]


def filled(folder: Path, rows: int = ROWS) -> Rows:
    """A store with rows of all lengths, some of them only in its log."""
    store, random_ = Store(folder), random.Random(7)
    for number in range(rows):
        key = f"{random_.getrandbits(256):064x}"
        text = "ä" * random_.choice([3, 100, 250, 700, 2500, 30_000])
        call = Job(kind="generate_image@1", endpoint="flux", input={"prompt": text})
        if number % 5:
            anyio.run(store.keep, key, call, Reply({"text": text[::2]}))
        else:
            store.keep_ticket(key, Ticket("flux", f"job-{number}"))
        if number == rows * 2 // 3:
            anyio.run(store.synced)
    found = {(row.table, row.key): row for row in salvage.rows(folder / DATABASE)}
    for name in (DATABASE, f"{DATABASE}-wal"):  # closing it would write the log into the database
        shutil.copy(folder / name, folder / "blobs" / name)
    store.close()
    return found


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Content:
    """The bytes of a database and of its log, and the rows that are in them."""
    folder = tmp_path_factory.mktemp("bytes")
    rows = filled(folder)
    return (folder / "blobs" / DATABASE).read_bytes(), (folder / "blobs" / f"{DATABASE}-wal").read_bytes(), rows


def salvaged(database: bytes, log: bytes) -> Rows:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / DATABASE).write_bytes(database)
        (Path(folder) / f"{DATABASE}-wal").write_bytes(log)
        return {(row.table, row.key): row for row in salvage.rows(Path(folder) / DATABASE)}


def test_every_row_of_a_sound_database_is_found_also_those_in_its_log(
    content: Content,
) -> None:
    database, _, rows = content

    alone = salvaged(database, b"")

    assert len(rows) == ROWS
    assert 0 < len(alone) < ROWS
    assert all(rows[place] == row for place, row in alone.items())


@given(data=st.data())
@settings(max_examples=60)
def test_a_byte_that_has_changed_costs_one_row_at_most(content: Content, data: st.DataObject) -> None:
    database, log, rows = content
    whole = bytearray(database + log)
    at = data.draw(st.integers(0, len(whole) - 1), label="where")
    whole[at] ^= data.draw(st.integers(1, 255), label="what")

    found = salvaged(bytes(whole[: len(database)]), bytes(whole[len(database) :]))

    assert len(found) >= len(rows) - 1
    assert all(rows[place]._replace(request="") == row._replace(request="") for place, row in found.items())


@given(data=st.data())
@settings(max_examples=40)
def test_pages_that_are_garbage_cost_the_rows_that_stood_on_them_and_no_other(
    content: Content, data: st.DataObject
) -> None:
    database, log, rows = content
    pages = len(database) // 4096
    hit = data.draw(st.sets(st.integers(0, pages - 1), min_size=1, max_size=6), label="pages")
    damaged = bytearray(database)
    for page in hit:
        damaged[page * 4096 : page * 4096 + 4096] = data.draw(st.binary(min_size=64, max_size=64)) * 64
    found = salvaged(bytes(damaged), log)

    stood = [sum(key.encode() in database[page * 4096 : page * 4096 + 4096] for _, key in rows) for page in hit]
    assert all(rows[place] == row for place, row in found.items())
    assert len(rows) - len(found) <= sum(count or 1 for count in stood)  # a page without keys has a part of one row


# -- the store --------------------------------------------------------------------------------------


def opened_anew(folder: Path) -> set[str]:
    store = Store(folder)
    try:
        return {key for key, *_ in [*store.rows(), *store.rows("unfetched")]}
    finally:
        store.close()


def test_a_database_that_was_rebuilt_has_its_rows_and_the_damaged_one_is_kept(tmp_path: Path) -> None:
    rows = filled(tmp_path)
    shutil.rmtree(tmp_path / "blobs")
    content = bytearray((tmp_path / DATABASE).read_bytes())
    content[100:200] = bytes(100)  # its schema
    (tmp_path / DATABASE).write_bytes(content)

    damage = cache.damage(tmp_path)
    saved = cache.rebuild(tmp_path, 0.0)

    assert damage
    assert saved.aside is not None
    assert saved.aside.read_bytes() == content
    assert (saved.replies, saved.jobs) == (ROWS * 4 // 5, ROWS // 5)
    assert opened_anew(tmp_path) == {key for _, key in rows}
    assert cache.damage(tmp_path) == ""


@pytest.mark.parametrize("moment", ["the old one has its second name", "the old one is away", "its log is away"])
def test_a_rebuilding_that_was_killed_is_done_again_and_loses_nothing(tmp_path: Path, moment: str) -> None:
    rows = filled(tmp_path)
    for name in (DATABASE, f"{DATABASE}-wal"):
        shutil.copy(tmp_path / "blobs" / name, tmp_path / name)
        shutil.copy(tmp_path / name, tmp_path / name.replace("replies", "replies.damaged-20261121-213000"))
    (tmp_path / "rebuilt").mkdir()
    (tmp_path / "rebuilt" / DATABASE).write_text("half")
    if moment != "the old one has its second name":
        (tmp_path / DATABASE).unlink()
    if moment == "its log is away":
        (tmp_path / f"{DATABASE}-wal").unlink()

    cache.rebuild(tmp_path, 0.0)

    assert opened_anew(tmp_path) == {key for _, key in rows}
    assert not (tmp_path / "rebuilt").exists()


def test_a_store_that_somebody_uses_is_not_rebuilt(tmp_path: Path) -> None:
    store = Store(tmp_path)

    with pytest.raises(CannotStart, match="in use by another process"):
        cache.rebuild(tmp_path, 0.0)

    store.close()
    cache.rebuild(tmp_path, 0.0)


@pytest.mark.parametrize("how", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["gone", "empty"])
def test_a_database_that_is_gone_is_told_before_anything_is_paid_anew(
    tmp_path: Path, how: Callable[[Path], None]
) -> None:
    Store(tmp_path).close()

    how(tmp_path / DATABASE)

    with pytest.raises(Damaged, match="its list of replies is gone"):
        Store(tmp_path)


# -- the command ------------------------------------------------------------------------------------


def flipped(content: bytearray, moment: random.Random) -> None:
    content[moment.randrange(len(content))] ^= 1 << moment.randrange(8)


def zeroed(content: bytearray, moment: random.Random) -> None:
    at = moment.randrange(len(content))
    content[at : at + 512] = bytes(len(content[at : at + 512]))


def garbage(content: bytearray, moment: random.Random) -> None:
    at = moment.randrange(len(content) // 4096) * 4096
    content[at : at + 4096] = moment.randbytes(4096)


def cut_short(content: bytearray, moment: random.Random) -> None:
    del content[moment.randrange(len(content)) :]


def all_garbage(content: bytearray, moment: random.Random) -> None:
    content[:] = moment.randbytes(len(content))


@pytest.mark.parametrize("damage", [flipped, zeroed, garbage, cut_short, all_garbage], ids=lambda each: each.__name__)
def test_however_a_database_is_damaged_it_is_repaired_and_nothing_is_paid_again(
    here: Path, cli: Cli, damage: Callable[[bytearray, random.Random], None]
) -> None:
    """As long as the files and the journals are whole, which are looked at elsewhere.

    Pictures are compared without what they say of themselves: a bit may have flipped in the words of a request.
    """
    sound = (STORE / DATABASE).read_bytes()
    states(cli, "--no-metadata")
    whole = files(Path("out"))
    for seed in range(4):
        content = bytearray(sound)
        damage(content, random.Random(seed))
        (STORE / DATABASE).write_bytes(content)
        shutil.rmtree("out")

        repaired = cli("cache", "verify", "--repair")
        after = cli("cache", "verify")
        again = states(cli, "--no-metadata")

        assert (repaired.code, after.code) == (0, 0), repaired.out + repaired.err + after.out
        assert set(again.values()) == {"cached"}, (seed, again, repaired.out)
        assert len(again) == CALLS
        assert files(Path("out")) == whole, seed
        for path in STORE.glob("replies.*"):
            path.unlink()


def test_files_without_a_list_of_replies_are_damage_though_nothing_else_says_so(here: Path, cli: Cli) -> None:
    for path in Path(".runner/store").glob("*"):
        if path.is_file():
            path.unlink()

    done = cli("run", "many.yaml", "--local=emulator")

    assert done.code == 5
    assert "its list of replies is gone" in done.err


def test_a_run_with_a_damaged_database_sends_nothing_and_says_what_to_do(here: Path, cli: Cli) -> None:
    content = bytearray((STORE / DATABASE).read_bytes())
    content[4096:8192] = bytes(4096)
    (STORE / DATABASE).write_bytes(content)

    run = cli("run", "many.yaml", "--local=emulator", "--json")
    told = cli("cache", "verify")

    cells = json.loads(run.out)["cells"]
    assert run.code == 1
    assert {cell["cost"] for cell in cells} == {0}
    assert "runner cache verify --repair keeps it aside and saves what is whole" in run.out
    assert (told.code, told.out.count("damaged: ")) == (1, 1)
    assert (STORE / DATABASE).read_bytes() == content


def test_a_database_that_was_lost_is_told_from_journals_and_a_choice_is_not_asked_for_again(
    cli: Cli, tmp_path: Path
) -> None:
    Path("many.yaml").write_text(
        "name: many\nsteps:\n"
        "  photo: {kind: generate_image, model: pruna/p-image-t2i, prompt: a cup, pick: {of: 2}}\n"
        '  fit: {kind: approve, question: Is it fit?, show: "{{ steps.photo.image }}"}\n'
        'outputs: {a.png: "{{ steps.photo.image }}", b.txt: "{{ steps.fit.approved }}"}\n'
    )
    cli("run", "many.yaml", "--local=emulator")
    cli("pick", "photo", "2")
    cli("resume")
    cli("approve", "fit", "yes")
    assert cli("resume").code == 0
    whole = files(Path("out"))
    shutil.rmtree("out")
    (STORE / DATABASE).unlink()

    lost = cli("run", "many.yaml", "--local=emulator")
    repaired = cli("cache", "verify", "--repair")
    again = states(cli)

    assert (lost.code, "its list of replies is gone" in lost.err) == (5, True)
    assert "4 replies found again in the journals of runs" in repaired.out
    assert again == {"photo": "cached", "fit": "cached"}
    assert files(Path("out")) == whole


def test_what_no_journal_tells_is_named_and_asked_for_anew(here: Path, cli: Cli) -> None:
    (STORE / DATABASE).unlink()
    journal = next(Path(".runner/runs").glob("*/events.jsonl"))
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if not ('"CellDone"' in line and '"heard"' in line)))

    repaired = cli("cache", "verify", "--repair")
    again = states(cli)

    assert f"1 reply of runs not found again, asked anew when wanted: heard in {journal.parent.name}" in repaired.out
    assert [cell for cell, state in again.items() if state == "done"] == ["heard"]


def test_a_replay_is_no_witness(here: Path, cli: Cli) -> None:
    """It paid nothing: what it was told must not pass for what a model said."""
    cli("run", "many.yaml", "--local=emulator", "--no-cache", "--record", "tape")
    shutil.rmtree(".runner")
    assert cli("run", "many.yaml", "--replay", "tape").code == 0

    found = heard(Path(".runner"))

    assert (found.rows, found.calls) == ([], {})


def test_a_job_in_flight_is_collected_though_the_database_was_lost(cli: Cli, tmp_path: Path) -> None:
    Path("many.yaml").write_text(
        "name: many\nsteps:\n  photo: {kind: generate_image, model: pruna/p-image-t2i, prompt: a cup}\n"
    )
    with Emulator(seed=1, latency=parse_latency("1")) as emulator:
        world = {"RUNPOD_API_KEY": "k", "RUNPOD_BASE_URL": emulator.url}
        process = started("run", "many.yaml", folder=tmp_path, **world)
        until(lambda: emulator.count("status-sync") == 1)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=10)
        for path in STORE.glob("replies.*"):
            path.unlink()

        repaired = cli("cache", "verify", "--repair")
        process = started("run", "many.yaml", folder=tmp_path, **world)
        process.communicate(timeout=30)

    assert "0 replies and 1 job in flight found again" in repaired.out
    assert (process.returncode, len(emulator.jobs)) == (0, 1)


def test_bits_that_are_no_text_any_more_are_taken_out_and_told_again(here: Path, cli: Cli) -> None:
    with closing(sqlite3.connect(STORE / DATABASE)) as rows, rows:
        rows.execute("UPDATE replies SET row = CAST(X'ff' || row AS TEXT) WHERE request LIKE '%Name a teapot%'")

    told = cli("cache", "verify")
    repaired = cli("cache", "verify", "--repair")
    again = states(cli)

    assert (told.code, told.out.count("unreadable: ")) == (1, 1)
    assert (repaired.code, cli("cache", "verify").code) == (0, 0)
    assert set(again.values()) == {"cached"}


@pytest.mark.parametrize("key", ["''", "CAST(X'ff' AS TEXT)", "replace(key, 'a', 'x')"])
def test_a_reply_that_lost_its_key_is_not_paid_for_again_unsaid(here: Path, cli: Cli, key: str) -> None:
    one = "(SELECT key FROM replies WHERE request LIKE '%warmer%' AND key LIKE '%a%' LIMIT 1)"
    with closing(sqlite3.connect(STORE / DATABASE)) as rows, rows:
        rows.execute(f"UPDATE replies SET key = {key} WHERE key = {one}")  # noqa: S608 - our own words

    run = cli("run", "many.yaml", "--local=emulator")
    repaired = cli("cache", "verify", "--repair")
    again = states(cli)

    assert run.code == 1
    assert "the key of a reply is none; runner cache verify --repair" in run.out
    assert (repaired.code, set(again.values())) == (0, {"cached"})
