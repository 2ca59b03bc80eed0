"""Gate over the built HTML: links resolve, ids are unique, nothing is loaded from elsewhere."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from handbook.site.problems import Problem

HOST = "http://site.invalid/"
LOADS = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
    "track": "src",
    "object": "data",
    "link": "href",
    "use": "href",
    "image": "href",
    "input": "src",
}
NOT_LOADED = frozenset({"canonical", "next", "prev", "alternate", "license", "author"})
CSS_LOADS = re.compile(r"""(?:url\(\s*|@import\s+)["']?([^"')\s;]+)""")
# The colours of code: half of all tags, and none of them refers to anything.
COLOURS = re.compile(r'<span class="\w{1,3}">|</span>')
TOP = frozenset({"", "top"})


@dataclass(frozen=True)
class Reference:
    """One address in a page. `loads`: the browser fetches it without being asked."""

    line: int
    address: str
    loads: bool


@dataclass
class Page(HTMLParser):
    """What a page defines and what it refers to."""

    ids: Counter[str] = field(default_factory=Counter)
    references: list[Reference] = field(default_factory=list)
    in_style: bool = False
    base: str = "/"

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by the parser."""
        values = {name: value or "" for name, value in attrs}
        self.in_style = tag == "style"
        if "id" in values:
            self.ids[values["id"]] += 1
        for address, loads in _addresses(tag, values):
            self._refer(address, loads)

    def handle_endtag(self, tag: str) -> None:
        """Called by the parser."""
        self.in_style = self.in_style and tag != "style"

    def handle_data(self, data: str) -> None:
        """Called by the parser."""
        if self.in_style:
            for address in CSS_LOADS.findall(data):
                self._refer(address, True)

    def _refer(self, address: str, loads: bool) -> None:
        if address.startswith(self.base):
            address = f"/{address.removeprefix(self.base)}"
        self.references.append(Reference(self.getpos()[0], address, loads))


def _addresses(tag: str, values: dict[str, str]) -> Iterator[tuple[str, bool]]:
    if tag == "a" and "href" in values:
        yield values["href"], False
    if tag == "form" and "action" in values:
        yield values["action"], False
    name = LOADS.get(tag, "")
    for attribute in {name, f"xlink:{name}"} & set(values) if name else ():
        relations = set(values.get("rel", "").split())
        yield values[attribute], not (tag == "link" and relations & NOT_LOADED)
    if "srcset" in values:
        yield from ((item.split()[0], True) for item in values["srcset"].split(",") if item.split())
    if "poster" in values:
        yield values["poster"], True
    yield from ((address, True) for address in CSS_LOADS.findall(values.get("style", "")))


@dataclass(frozen=True)
class _Site:
    """What is there to be linked to."""

    files: frozenset[str]
    pages: dict[str, Page]


def check(site: Path, base: str = "/") -> list[Problem]:
    """Every broken, doubled or foreign thing in the built site.

    Args:
        site: the folder.
        base: the path that the site will have on its host; the 404 page uses it in full.
    """
    files = sorted(path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file())
    pages = {name: read(site / name, base) for name in files if name.endswith(".html")}
    whole = _Site(frozenset(files), pages)
    problems = [problem for name in pages for problem in _page(name, whole)]
    return problems + list(_styles(site, whole))


def read(path: Path, base: str = "/") -> Page:
    """One built page."""
    return _parsed(path.read_text(encoding="utf-8"), base.rstrip("/") + "/")


# While the site is served, most pages of the next build are those of the last.
@lru_cache(maxsize=256)
def _parsed(html: str, base: str) -> Page:
    page = Page(base=base)
    page.feed(COLOURS.sub("", html))
    page.close()
    return page


def _page(name: str, site: _Site) -> Iterator[Problem]:
    page = site.pages[name]
    for anchor, count in page.ids.items():
        if count > 1 or not anchor.strip():
            yield Problem(
                f"site/{name}", f'id="{anchor}" stands {count} times', "give each its own id"
            )
    for reference in page.references:
        if fault := _fault(site, name, reference):
            yield Problem(f"site/{name}:{reference.line}", *fault)


def _fault(site: _Site, name: str, reference: Reference) -> tuple[str, str] | None:
    address = reference.address.strip()
    parts = urlsplit(address)
    if address.startswith("//"):
        return f"`{address}` leaves the scheme open", "write https:// in full"
    if parts.scheme in {"http", "https"}:
        return _foreign(address, parts.scheme, reference.loads)
    if parts.scheme in {"data", "mailto", "tel", "blob"}:
        return None
    if parts.scheme:
        return f"`{address}` has the scheme {parts.scheme}", "link to a page or to https://"
    return _internal(site, name, address)


def _foreign(address: str, scheme: str, loads: bool) -> tuple[str, str] | None:
    if loads:
        return f"the page loads `{address}` from elsewhere", "ship the file with the site"
    if scheme == "http":
        return f"`{address}` is not encrypted", "link to https://"
    return None


def _internal(site: _Site, name: str, address: str) -> tuple[str, str] | None:
    target = urlsplit(urljoin(HOST + name, address))
    path = unquote(target.path).lstrip("/")
    if path == "" or path.endswith("/"):
        path += "index.html"
    if path not in site.files:
        if f"{path}/index.html" in site.files:
            return f"`{address}` is a folder without the final /", "add the /"
        return f"`{address}` leads nowhere", "mend the link"
    anchor = unquote(target.fragment)
    if path in site.pages and anchor not in TOP and anchor not in site.pages[path].ids:
        return f"`{address}`: {path} has no id `{anchor}`", "mend the anchor"
    return None


def _styles(folder: Path, site: _Site) -> Iterable[Problem]:
    for name in sorted(site.files):
        if not name.endswith(".css"):
            continue
        for address in CSS_LOADS.findall((folder / name).read_text(encoding="utf-8")):
            if fault := _fault(site, name, Reference(1, address, True)):
                yield Problem(f"site/{name}", *fault)
