"""The kinds of steps: a dict in sight that also feeds the schema, the checks and the docs.

Installed packages may bring more of them (`runner.plugins`).
"""

from __future__ import annotations

from collections.abc import Mapping

from ..plugins import found
from . import (
    approve,
    call_endpoint,
    edit_image,
    generate_image,
    generate_speech,
    generate_text,
    generate_video,
    parse_json,
    render_text,
    run_pipeline,
    transcribe_audio,
)
from .brought import Brought, unfit
from .kind import Kind, makes

OURS: Mapping[str, Kind] = {
    kind.NAME: kind
    for kind in (
        generate_text,
        parse_json,
        generate_image,
        edit_image,
        generate_speech,
        transcribe_audio,
        generate_video,
        call_endpoint,
        render_text,
        run_pipeline,
        approve,
    )
}
BROUGHT = found("runner.kinds", frozenset(OURS), unfit)
"""Kinds of installed packages, and what is wrong with others."""

KINDS: Mapping[str, Kind] = {**OURS, **{name: Brought(plugin) for name, plugin in BROUGHT.things.items()}}

__all__ = ["BROUGHT", "KINDS", "OURS", "Kind", "approve", "makes", "run_pipeline"]
