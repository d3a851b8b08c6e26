"""Boxes and who points at whom in, places and curves out: a layered layout after Sugiyama, Tagawa and Toda.

Ranks are longest paths; barycentres order each rank; places across it are as near to their neighbours as order and
gaps allow. Everything is reckoned with ranks from top to bottom and turned at the end where they go from left to right.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

Point: TypeAlias = tuple[float, float]

GAP_ALONG = 44.0
"""Pixels between two ranks: room for an arrow."""
GAP_ACROSS = 28.0
"""Pixels between two boxes of a rank."""
SWEEPS = 8


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each box has its upper left corner, the corners of each link's curve in order, and how large it all is."""

    places: Mapping[str, Point]
    paths: Sequence[Sequence[Point]]
    width: float
    height: float


@dataclass(slots=True)
class _Spot:
    """A box in its rank, or the place that a long link takes in a rank which it passes."""

    across: float
    """How wide it is across its rank."""
    at: float = 0.0
    """Where its middle is."""
    boxed: bool = True


def layout(sizes: Mapping[str, tuple[float, float]], links: Sequence[tuple[str, str]], *, sideways: bool) -> Layout:
    """Place boxes of these sizes. ``links`` go from earlier names to later ones; ``sideways`` ranks go to the right."""
    turned = {name: (h, w) if sideways else (w, h) for name, (w, h) in sizes.items()}
    rank = _ranks(list(sizes), links)
    rows, chains, spots = _rows(turned, links, rank)
    _ordered(rows, chains)
    _placed(rows, chains, spots)
    tops, along = [], 0.0
    thick = [max((turned[name][1] for name in row if name in turned), default=0.0) for row in rows]
    for each in thick:
        tops.append(along)
        along += each + GAP_ALONG
    first = min((spot.at - spot.across / 2 for spot in spots.values()), default=0.0)
    wide = max((spot.at + spot.across / 2 for spot in spots.values()), default=0.0) - first
    places: dict[str, Point] = {}
    for name, (across, high) in turned.items():
        top = tops[rank[name]] + (thick[rank[name]] - high) / 2
        places[name] = (spots[name].at - first - across / 2, top)
    paths = []
    for source, target, *between in ((c[0], c[-1], *c[1:-1]) for c in chains):
        x = spots[source].at - first
        points = [(x, places[source][1] + turned[source][1]), (x, tops[rank[source]] + thick[rank[source]])]
        for number, name in enumerate(between, rank[source] + 1):
            x = spots[name].at - first
            points += [(x, tops[number]), (x, tops[number] + thick[number])]
        x = spots[target].at - first
        points += [(x, tops[rank[target]]), (x, places[target][1])]
        paths.append(list(dict.fromkeys(points)))  # it bends between ranks only: in one, other boxes may be higher
    along = max(0.0, along - GAP_ALONG)
    if not sideways:
        return Layout(places, paths, wide, along)
    return Layout({n: (y, x) for n, (x, y) in places.items()}, [[(y, x) for x, y in p] for p in paths], along, wide)


def _ranks(names: Sequence[str], links: Sequence[tuple[str, str]]) -> dict[str, int]:
    """How many boxes stand before each in its longest chain; one that waits for nothing stands just before its first
    reader.
    """
    rank = dict.fromkeys(names, 0)
    before: dict[str, list[str]] = {name: [] for name in names}
    after: dict[str, list[str]] = {name: [] for name in names}
    for source, target in links:
        before[target].append(source)
        after[source].append(target)
    for name in names:
        rank[name] = max((rank[source] + 1 for source in before[name]), default=0)
    for name in names:
        if not before[name] and after[name]:
            rank[name] = min(rank[target] for target in after[name]) - 1
    return rank


def _rows(
    turned: Mapping[str, tuple[float, float]], links: Sequence[tuple[str, str]], rank: Mapping[str, int]
) -> tuple[list[list[str]], list[list[str]], dict[str, _Spot]]:
    """The ranks with what is in them, each link as a chain from rank to rank, and a spot for each."""
    rows: list[list[str]] = [[] for _ in range(max(rank.values(), default=-1) + 1)]
    spots = {name: _Spot(across) for name, (across, _) in turned.items()}
    for name in turned:
        rows[rank[name]].append(name)
    chains = []
    for number, (source, target) in enumerate(links):
        chain = [source]
        for passed in range(rank[source] + 1, rank[target]):
            chain.append(f"\0{number}/{passed}")  # no step is called like that
            rows[passed].append(chain[-1])
            spots[chain[-1]] = _Spot(0.0, boxed=False)
        chains.append([*chain, target])
    return rows, chains, spots


def _ordered(rows: list[list[str]], chains: Sequence[Sequence[str]]) -> None:
    """Order each rank so that few links cross: down and up again by the mean place of neighbours, the best is kept."""
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for chain in chains:
        for one, other in pairwise(chain):
            below.setdefault(one, []).append(other)
            above.setdefault(other, []).append(one)
    best, fewest = [list(row) for row in rows], _crossings(rows, below)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        near = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else reversed(rows):
            place = {name: i for each in rows for i, name in enumerate(each)} if len(rows) < 3 else _near(rows, row)
            mean = {n: sum(place[m] for m in near[n]) / len(near[n]) if near.get(n) else float(i)
                    for i, n in enumerate(row)}  # fmt: skip
            row.sort(key=mean.__getitem__)
        if (now := _crossings(rows, below)) < fewest:
            best, fewest = [list(row) for row in rows], now
    rows[:] = best


def _near(rows: Sequence[Sequence[str]], row: Sequence[str]) -> dict[str, int]:
    """The places of what is in the ranks beside one."""
    at = next(i for i, each in enumerate(rows) if each is row)
    return {name: i for each in (*rows[max(0, at - 1) : at], *rows[at + 1 : at + 2]) for i, name in enumerate(each)}


def _crossings(rows: Sequence[Sequence[str]], below: Mapping[str, Sequence[str]]) -> int:
    """How many links cross."""
    count = 0
    for one, other in pairwise(rows):
        place = {name: i for i, name in enumerate(other)}
        seen: list[int] = []
        for name in one:
            targets = [place[target] for target in below.get(name, ())]
            count += sum(len(seen) - bisect_left(seen, target + 1) for target in targets)
            for target in targets:
                insort(seen, target)
    return count


def _placed(rows: Sequence[Sequence[str]], chains: Sequence[Sequence[str]], spots: Mapping[str, _Spot]) -> None:
    """Put each spot as near to the middle of its neighbours as its rank allows; long links are pulled straight."""
    near: dict[str, list[tuple[str, float]]] = {name: [] for name in spots}
    for chain in chains:
        for one, other in pairwise(chain):
            pull = 1.0 if spots[one].boxed and spots[other].boxed else 3.0
            near[one].append((other, pull))
            near[other].append((one, pull))
    for row in rows:
        at = 0.0
        for name in row:
            spots[name].at = at + spots[name].across / 2
            at += spots[name].across + GAP_ACROSS
        for name in row:
            spots[name].at -= (at - GAP_ACROSS) / 2
    for sweep in range(2 * SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = []
            for name in row:
                pulls = near[name]
                weight = sum(pull for _, pull in pulls)
                wanted.append(sum(spots[n].at * pull for n, pull in pulls) / weight if weight else spots[name].at)
            for name, at in zip(row, _spread(wanted, [spots[name].across for name in row]), strict=True):
                spots[name].at = at


def _spread(wanted: Sequence[float], across: Sequence[float]) -> list[float]:
    """The places nearest to those that are wanted, in this order and with the gaps: pools of adjacent violators."""
    offsets = [0.0]
    for one, other in pairwise(across):
        offsets.append(offsets[-1] + (one + other) / 2 + GAP_ACROSS)
    pools: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=False):
        total, size = want - offset, 1
        while pools and pools[-1][0] / pools[-1][1] > total / size:
            before, many = pools.pop()
            total, size = total + before, size + many
        pools.append((total, size))
    found = [total / size for total, size in pools for _ in range(size)]
    return [at + offset for at, offset in zip(found, offsets, strict=False)]
