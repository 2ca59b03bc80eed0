"""Files for everybody who names this server: the site, our client, CodeMirror."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated
from tornado import web

from handbook.live import pages, vendor
from handbook.site.server import ADDRESS, FOR_EVER, TYPES

CLIENT = Path(__file__).parent / "client"


@dataclass(frozen=True)
class Place:
    """What is served, and where."""

    root: Path
    site: Path
    notebooks: Path
    port: int
    watched: bool = False

    @property
    def host(self) -> str:
        """The one name under which this server answers."""
        return f"{ADDRESS}:{self.port}"


class FileHandler(web.RequestHandler):
    """GET and HEAD of one file."""

    @property
    def place(self) -> Place:
        """What is served."""
        found: Place = self.settings["live_place"]
        return found

    def prepare(self) -> None:
        """A page elsewhere whose name resolves to 127.0.0.1 must not read this site."""
        if self.request.host == f"localhost:{self.place.port}":
            self.redirect(f"http://{self.place.host}{self.request.uri}")
        elif self.request.host != self.place.host:
            raise web.HTTPError(421, reason="unknown host")

    def set_default_headers(self) -> None:
        """A rebuilt page shows at once; nothing is sniffed, or framed by others."""
        self.clear_header("Server")
        for name, value in pages.HEADERS.items():
            self.set_header(name, value)
        self.set_header("Content-Security-Policy", pages.FILE_POLICY)

    def write_error(self, status_code: int, **_: Any) -> None:
        """The site's own page where something is missing."""
        found = pages.within(self.place.site, "404.html")
        if status_code == 404 and found:
            self.send_page(found)
        else:
            self.finish(f"{status_code}\n")

    def send_page(self, found: Path) -> None:
        """A page with the client in it, under a policy that lets it reach the kernels."""
        page = pages.live(found.read_text("utf-8"), f"ws://{self.place.host}")
        self.set_header("Content-Type", TYPES[".html"])
        self.set_header("Content-Security-Policy", page.policy)
        self.finish(page.html)

    def send(self, content: str | bytes, kind: str) -> None:
        """Anything else."""
        self.set_header("Content-Type", TYPES.get(kind, TYPES[""]))
        self.finish(content)


class SiteHandler(FileHandler):
    """The built site; it may be replaced while it is served."""

    @allow_unauthenticated
    def get(self, path: str) -> None:
        """The file, or the page of that folder."""
        found = pages.within(self.place.site, path)
        if found is None:
            raise web.HTTPError(404)
        kind = found.suffix.lower()
        if found.name == "index.html" and path and not path.endswith(("/", "index.html")):
            self.redirect(f"/{path.lstrip('/')}/")
        elif kind == ".html":
            self.send_page(found)
        elif found.name == "sitemap.xml":
            origin = f"http://{self.place.host}/"
            self.send(pages.relocated(found.read_text("utf-8"), origin), kind)
        else:
            if kind == ".woff2":
                self.set_header("Cache-Control", FOR_EVER)
            self.send(found.read_bytes(), kind)

    head = get


class ClientHandler(FileHandler):
    """The script that makes cells run."""

    @allow_unauthenticated
    def get(self, path: str) -> None:
        """One of its files."""
        found = pages.within(CLIENT, path)
        if found is None:
            raise web.HTTPError(404)
        self.send(found.read_bytes(), found.suffix)

    head = get


class VendorHandler(FileHandler):
    """CodeMirror; missing after a first start without network, and the client does without."""

    @allow_unauthenticated
    def get(self, name: str) -> None:
        """One package as one module."""
        folder = vendor.packages(self.place.root)
        module = vendor.module(folder, name) if folder else None
        if module is None:
            raise web.HTTPError(404)
        self.send(module, ".js")

    head = get
