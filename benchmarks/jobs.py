"""Many jobs: pictures to disk, and more jobs at work than most accounts have workers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from . import bare, ours
from .figures import Figure, in_turns, server

PICTURES = """\
name: pictures
steps:
  photo:
    kind: generate_image
    model: qwen/qwen-image
    foreach: "{{{{ range({count}) | list }}}}"
    limit: {count}
    prompt: A red ceramic teapot, number {{{{ item }}}}
    size: 512x512
"""
PUBLISHED = '\noutputs:\n  "{key}.png": "{{ steps.photo.image }}"\n'
JOBS, AT_ONCE = 1000, 400


def figures() -> Iterator[Figure]:
    """Whole runs beside a bare client that does the same requests and writes the same files."""
    kept = PICTURES.format(count=64)
    with server("0") as url:
        store, published, theirs, synced = in_turns(
            5,
            partial(ours.whole, kept, url),
            partial(ours.whole, kept + PUBLISHED, url),
            partial(bare.pictures, 64, url),
            partial(bare.pictures, 64, url, sync=True),
        )
        name = "64 pictures of 1 MB"
        yield Figure(f"{name}, synced to the store", store, "bare client, synced too", synced, "≤ 1.25",
                     store <= 1.25 * synced)  # fmt: skip
        yield Figure(f"{name}, synced to the store", store, "bare client, unsynced", theirs, "told", holds=True)
        yield Figure(f"{name}, and published", published, "bare client, unsynced", theirs, "told", holds=True)
    with server("1", "1000") as url:
        seconds, theirs, pools = in_turns(
            3,
            partial(ours.whole, PICTURES.format(count=JOBS), url, AT_ONCE),
            partial(bare.pictures, JOBS, url, AT_ONCE),
            partial(bare.pictures, JOBS, url, AT_ONCE, pool=8),
        )
    ideal = JOBS / AT_ONCE
    name = f"{JOBS:,} jobs of 1 s, {AT_ONCE} in flight"
    yield Figure(name, seconds, "ideal (in whole waves 3 s)", ideal, "≤ 1.3 × + 0.5 s", seconds <= 1.3 * ideal + 0.5)
    yield Figure(name, seconds, f"bare client, one pool of {AT_ONCE}", theirs, "told", holds=True)
    yield Figure(name, seconds, "bare client, pools of 8", pools, "told", holds=True)
