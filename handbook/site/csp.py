"""A strict content policy for every page, written into it after the build.

Scripts run from files of the site, or when their hash is listed; styles come from files only. What
such a policy would silently drop (a `style` attribute, an inline handler) fails the build instead.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from handbook.site.problems import Problem

CHARSET = '<meta charset="utf-8">'
META = '<meta http-equiv="Content-Security-Policy" content="{}">'
SCRIPT = re.compile(r"<script(?P<attributes>[^>]*)>(?P<code>.*?)</script>", re.DOTALL)
NOT_CODE = re.compile(r"""\btype=["']?application/(?:ld\+)?json""")
# What a page may do: everything else is refused by `default-src 'none'`.
POLICY = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "font-src": ["'self'"],
    "img-src": ["'self'", "data:"],
    "connect-src": ["'self'"],
    "worker-src": ["'self'"],
    "frame-src": ["'self'"],
    "manifest-src": ["'self'"],
    "base-uri": ["'none'"],
    "form-action": ["'self'"],
}
HIDDEN = re.compile(r"<(script|textarea|title)\b[^>]*>.*?</\1>|<!--.*?-->", re.DOTALL)
ELEMENT = re.compile(r"<(?P<tag>[a-zA-Z][^\s/>]*)(?P<attributes>(?:[^>\"']|\"[^\"]*\"|'[^']*')*)>")
ATTRIBUTE = re.compile(r"""\s(?P<name>[^\s"'>/=]+)\s*=\s*(?P<value>"[^"]*"|'[^']*'|[^\s>]+)""")
ADVICE = {
    "style": "use a class of theme/styles/, or a presentation attribute of SVG",
    "handler": "listen in a file of theme/assets/javascripts/",
    "sheet": "move its rules to theme/styles/",
}


def secure(site: Path) -> None:
    """Write the policy into every page that has none."""
    for path in site.rglob("*.html"):
        html = path.read_text("utf-8")
        if "Content-Security-Policy" not in html:
            path.write_text(apply(html), "utf-8")


def apply(html: str) -> str:
    """The page with its policy, before anything that the policy is about."""
    meta = META.format(policy(hashes(html)))
    return html.replace(CHARSET, f"{CHARSET}\n      {meta}", 1)


def policy(scripts: Iterable[str], **more: list[str]) -> str:
    """The policy as text.

    Args:
        scripts: hashes of inline scripts.
        more: further sources, as `connect_src=["ws://127.0.0.1:8000"]`.
    """
    rules = {name: list(sources) for name, sources in POLICY.items()}
    rules["script-src"] += sorted(set(scripts))
    for name, sources in more.items():
        rules[name.replace("_", "-")] += sources
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in rules.items())


def hashes(html: str) -> list[str]:
    """The sources that allow the page's inline scripts, which are the theme's."""
    return [
        f"'sha256-{base64.b64encode(hashlib.sha256(found['code'].encode()).digest()).decode()}'"
        for found in SCRIPT.finditer(html)
        if " src=" not in found["attributes"] and not NOT_CODE.search(found["attributes"])
    ]


def check(site: Path) -> list[Problem]:
    """Everything in the pages that their policy would drop."""
    return [
        problem
        for path in sorted(site.rglob("*.html"))
        for problem in check_page(path.relative_to(site).as_posix(), path.read_text("utf-8"))
    ]


# While the site is served, most pages of the next build are those of the last.
@lru_cache(maxsize=256)
def check_page(name: str, html: str) -> tuple[Problem, ...]:
    """The same, of one page."""
    return tuple(_problems(name, html))


def _problems(name: str, html: str) -> Iterator[Problem]:
    if "Content-Security-Policy" not in html:
        yield Problem(f"site/{name}", "the page has no content policy", f"begin it with {CHARSET}")
    # Blank, so that lines keep their numbers.
    shown = HIDDEN.sub(lambda found: "\n" * found[0].count("\n"), html)
    for element in ELEMENT.finditer(shown):
        for kind, what in _dropped(element["tag"].lower(), element["attributes"]):
            line = shown.count("\n", 0, element.start()) + 1
            yield Problem(
                f"site/{name}:{line}",
                f"the content policy drops `{what}` of `{_short(element[0])}`",
                ADVICE[kind],
            )


def _dropped(tag: str, attributes: str) -> Iterator[tuple[str, str]]:
    if tag == "style":
        yield "sheet", "style"
    for found in ATTRIBUTE.finditer(attributes):
        name, value = found["name"].lower(), found["value"].strip("\"' ").lower()
        if name == "style":
            yield "style", "style"
        elif name.startswith("on") or value.startswith("javascript:"):
            yield "handler", name


def _short(tag: str) -> str:
    return tag if len(tag) <= 60 else f"{tag[:57]}…"
