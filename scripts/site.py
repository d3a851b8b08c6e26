"""What mkdocs asks of us while it builds the site: the navigation, files outside ``docs/``, and whether links hold.

It is named under ``hooks:`` in ``mkdocs.yml``; the functions that decide know nothing of mkdocs.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

log = logging.getLogger("mkdocs.hooks.site")

REPO = Path(__file__).resolve().parent.parent
DOCS = REPO / "docs"
DECISIONS = "decisions/index.md"

_LINK = re.compile(r"(\]\()(?![a-z]+:|#)([^)\s#]+)")
_CSS_FROM_ELSEWHERE = re.compile(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//[^)'\"\s]+")


def expanded(nav: Sequence[Any], pages: Iterable[str]) -> list[Any]:
    """The navigation with each pattern replaced by the pages it finds, each once; the rest stand under More."""
    left = sorted(pages)

    def take(items: Sequence[Any]) -> list[Any]:
        found: list[Any] = []
        for item in items:
            if isinstance(item, Mapping):
                sections = ((title, take(inner)) for title, inner in item.items())
                found += [{title: inner} for title, inner in sections if inner]
            else:
                these = [page for page in left if fnmatchcase(page, item)]
                found += these
                left[:] = [page for page in left if page not in these]
        return found

    whole = take(nav)
    return [*whole, {"More": left}] if left else whole


def links_outside(page: Path) -> set[Path]:
    """Files of the project outside ``docs/`` that a page links to, and those that these link to if they are pages."""
    found: set[Path] = set()
    waiting = [page]
    while waiting:
        source = waiting.pop()
        for link in _LINK.finditer(source.read_text(encoding="utf-8")):
            target = (source.parent / unquote(link[2])).resolve()
            if target not in found and target.is_file() and _outside(target):
                found.add(target)
                waiting += [target] if target.suffix == ".md" else []
    return found


def relinked(text: str, source: Path) -> str:
    """A page's text with its links to files as they lie in the site, whichever folder the page itself comes from."""

    def moved(link: re.Match[str]) -> str:
        target = (source.parent / unquote(link[2])).resolve()
        if not target.is_file() or not (_outside(target) or _outside(source)):
            return link[0]
        return link[1] + os.path.relpath(in_site(target), Path(in_site(source)).parent)

    return _LINK.sub(moved, text)


def in_site(path: Path) -> str:
    """Where a file of the project lies in the site: ``tutorial.md``, ``files/pipelines/product-card.yaml``."""
    return f"files/{path.relative_to(REPO).as_posix()}" if _outside(path) else path.relative_to(DOCS).as_posix()


def _outside(path: Path) -> bool:
    return path.is_relative_to(REPO) and not path.is_relative_to(DOCS)


def decisions(folder: Path) -> str:
    """The list of all decisions, as a page."""
    lines = ["# Decisions", "", "What could have been done in another way, and why it is done in this one.", ""]
    for path in sorted(folder.glob("[0-9]*.md")):
        number, _, title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ").partition(" ")
        lines.append(f"* {number} [{title}]({path.name})")
    return "\n".join([*lines, ""])


class _Page(HTMLParser):
    """What a page of the site names: its anchors, where its links lead, what it loads."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.anchors |= {said[name] for name in ("id", "name") if name in said}
        if tag == "a" and "href" in said:
            self.links.append(said["href"])
        elif tag == "link" and said.get("rel") not in ("prev", "next", "canonical"):
            self.loads.append(said.get("href", ""))
        elif "src" in said:
            self.loads.append(said["src"])


def faults(site: Path) -> Iterator[str]:
    """What is wrong with a built site: links that lead nowhere, and what would be loaded from elsewhere."""
    pages = {path: _Page() for path in site.rglob("*.html") if path.name != "404.html"}  # that one is served anywhere
    for path, page in pages.items():
        page.feed(path.read_text(encoding="utf-8"))
    for path, page in sorted(pages.items()):
        name = path.relative_to(site)
        yield from (f"{name} loads {load} from elsewhere" for load in page.loads if _elsewhere(load))
        for link in [*page.links, *(load for load in page.loads if not _elsewhere(load))]:
            split = urlsplit(link)
            if split.scheme or split.netloc:
                continue
            target = (path.parent / unquote(split.path)).resolve() if split.path else path
            if not target.is_file():
                yield f"{name} links to {link}, which is not there"
            elif split.fragment and target in pages and unquote(split.fragment) not in pages[target].anchors:
                yield f"{name} links to {link}, and {target.name} has no such place"
    for path in sorted(site.rglob("*.css")):
        for found in _CSS_FROM_ELSEWHERE.findall(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site)} loads from elsewhere: {found}"


def _elsewhere(link: str) -> bool:
    return bool(urlsplit(link).netloc)


def on_config(config: Any) -> Any:
    """Pages that are there, in the order of ``nav:``."""
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} | {DECISIONS}
    config.nav = expanded(config.nav, pages)
    return config


def on_files(files: Any, config: Any) -> Any:
    """The list of decisions, and the files outside ``docs/`` that pages link to."""
    from mkdocs.structure.files import File  # noqa: PLC0415 - it is here while mkdocs runs

    files.append(File.generated(config, DECISIONS, content=decisions(DOCS / "decisions")))
    for path in sorted({target for page in DOCS.rglob("*.md") for target in links_outside(page)}):
        files.append(File.generated(config, in_site(path), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links as they lie in the site."""
    return markdown if page.file.src_uri == DECISIONS else relinked(markdown, Path(page.file.abs_src_path))


def on_post_build(config: Any) -> None:
    """Every link and file of the built site, looked at; with ``--strict`` a fault ends the build."""
    for fault in faults(Path(config.site_dir).resolve()):
        log.warning(fault)
