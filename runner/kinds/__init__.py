"""The kinds of steps: a dict in sight that also feeds the schema, the checks and the docs."""

from __future__ import annotations

from collections.abc import Mapping

from . import edit_image, generate_image, generate_text, parse_json
from .kind import Kind

KINDS: Mapping[str, Kind] = {kind.NAME: kind for kind in (generate_text, parse_json, generate_image, edit_image)}

__all__ = ["KINDS", "Kind"]
