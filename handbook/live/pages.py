"""The built site as the live server sends it: each page with the script that makes its cells run.

The files on disk are not touched: what is published carries nothing of this.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from handbook.site import csp

CLIENT = "/_live/client"
TAGS = (
    f'<link rel="stylesheet" href="{CLIENT}/live.css">'
    f'<script type="module" src="{CLIENT}/live.js"></script>'
)
LOCATION = re.compile(r"(?<=<loc>)[^<]*(?=</loc>)")
# By others: our own pages frame the place where flow charts are drawn.
NO_FRAMES = "frame-ancestors 'self'; object-src 'none'"
# The search runs in a worker, to which its own answer's policy applies.
FILE_POLICY = f"default-src 'self'; {NO_FRAMES}"
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
HEADERS = {
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
}
"""What every answer carries."""


@dataclass(frozen=True)
class Page:
    """A page as it is sent, and the policy that its answer carries."""

    html: str
    policy: str


@lru_cache(maxsize=256)
def live(html: str, sockets: str) -> Page:
    """The page with the client, allowed to talk to `sockets` besides its own origin.

    Pages with a policy of their own (the frame in which flow charts are drawn) stay as they are.

    Args:
        html: the page as built.
        sockets: where kernels answer, as `ws://127.0.0.1:8000`.
    """
    hashes = csp.hashes(html)
    built = csp.META.format(csp.policy(hashes))
    if built not in html:
        return Page(html, NO_FRAMES)
    policy = csp.policy(hashes, connect_src=[sockets])
    page = html.replace(built, csp.META.format(policy), 1)
    head, body, rest = page.rpartition("</body>")
    return Page(f"{head}{TAGS}{body}{rest}" if body else page, f"{policy}; {NO_FRAMES}")


def relocated(sitemap: str, origin: str) -> str:
    """The sitemap with this server's addresses: the theme compares with them."""
    root = min(LOCATION.findall(sitemap), key=len, default="")
    return LOCATION.sub(lambda place: origin + place[0].removeprefix(root), sitemap)


def within(root: Path, path: str) -> Path | None:
    """The file of `root` at that address; None outside of it, or where there is none."""
    if "\0" in path:
        return None
    found = (root / path.lstrip("/")).resolve()
    if found.is_dir():
        found = found / "index.html"
    inside = found.is_relative_to(root.resolve())
    return found if inside and found.is_file() else None
