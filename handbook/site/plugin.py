"""The MkDocs plugin `handbook`: hooks only; what they do is in the modules beside it."""

from __future__ import annotations

import posixpath
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import FileSystemBytecodeCache
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import BasePlugin, CombinedEvent, event_priority, get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.structure.toc import get_toc

from handbook import paths
from handbook.site import (
    build,
    cell_block,
    figure_block,
    gates,
    generated,
    jupyter,
    lab_page,
    navigation,
    page_text,
    provenance,
    search,
    shell,
    tables,
    terms,
)
from handbook.site.memory import Memory
from handbook.site.problems import Problem, ordered
from handbook.site.project import Project

log = get_plugin_logger("handbook")

LABS = "labs"


MEMORY = Memory()


def _entries(config: MkDocsConfig) -> list[dict[str, Any]]:
    """What the theme's search has read so far."""
    plugin: Any = config.plugins["material/search"]
    entries: list[dict[str, Any]] = plugin.search_index.entries
    return entries


class LabFile(File):
    """A notebook that becomes a page."""

    def is_documentation_page(self) -> bool:
        """MkDocs asks by extension otherwise."""
        return True


class HandbookPlugin(BasePlugin):  # type: ignore[type-arg, no-untyped-call]
    """Labs into the site, cells into pages."""

    def on_config(self, config: MkDocsConfig) -> MkDocsConfig:
        """Everything that depends on the checkout alone."""
        self.project = Project(Path(config.config_file_path).resolve().parent)
        self.checked = provenance.results(self.project.build)
        self.problems: list[Problem] = []
        self.page = self.text = ""
        self.content = ""
        MEMORY.enter(f"{config.config_file_path} {build.surroundings(self.project)}")
        self.keywords: dict[str, list[str]] = {}
        config.nav = navigation.expand(config.nav or [], self.project)
        config.markdown_extensions.append(cell_block.CellExtension(self._find))  # type: ignore[arg-type]
        config.markdown_extensions.append(figure_block.FigureExtension(self._figures))  # type: ignore[arg-type]
        shell.configure(config, self.project)
        jupyter.prepare(config.plugins["mkdocs-jupyter"].config, self.project.build)
        config.watch += [str(self.project.notebooks), str(self.project.snippets)]
        return config

    @event_priority(-100)  # after mkdocs-jupyter, whose own file class loses where a file lies
    def on_files(self, files: Files, config: MkDocsConfig) -> Files:
        """A lab is a file in `notebooks/` and nothing else."""
        for name in self.project.labs():
            path = self.project.notebooks / f"{name}.ipynb"
            files.append(LabFile.generated(config, f"{LABS}/{name}.ipynb", abs_src_path=str(path)))
            check = partial(gates.check_lab, self.project, name)
            self.problems += MEMORY.get(f"check {name}", name, check)
        shell.add_files(files, config, self.project)
        return files

    def on_page_markdown(
        self, markdown: str, *, page: Page, config: MkDocsConfig, **_: Any
    ) -> str | None:
        """Gate the page's source, then fill in what is generated."""
        self.page = page.file.src_uri
        if not self.page.endswith(".md"):
            return None
        self.keywords[page.url] = list(page.meta.get("keywords", ()))
        text = (self.project.docs / self.page).read_text("utf-8")
        check = partial(gates.check_page, self.project, self.page)
        self.problems += MEMORY.get(f"check {self.page}", text, check)
        place = generated.Place(self.project, self.checked, self.page, config.repo_url or None)
        self.text = page_text.complete(markdown, place)
        # What was rendered before need not be read again.
        return "" if MEMORY.find(f"page {self.page}", self.text) else self.text

    @event_priority(100)
    def on_page_content(self, html: str, *, page: Page, files: Files, **_: Any) -> str | None:
        """Give a lab the site's own markup, anchors and table of contents; tables their form."""
        if not page.file.src_uri.endswith(".ipynb"):
            return self._rendered(html, page)
        name = posixpath.basename(page.file.src_uri).removesuffix(".ipynb")
        convert = partial(
            lab_page.convert,
            html,
            self.project.lab(name),
            proof=self._proof(name),
            rewrite=lambda href: self._link(href, page, files),
        )
        lab = MEMORY.get(f"lab {name}", html, convert)
        page.toc = get_toc(lab.toc)  # type: ignore[arg-type]
        page.title = lab.title or name
        page.present_anchor_ids = lab.ids
        page.meta["search"] = {"boost": search.LAB_BOOST}
        return tables.improve(lab.content)

    def _rendered(self, html: str, page: Page) -> str:
        """A page as MkDocs has just rendered it, or as it did for the last build."""
        name = f"page {self.page}"
        if kept := MEMORY.find(name, self.text):
            page.title, page.toc, page.present_anchor_ids, html = kept
            return html
        html = tables.improve(html)
        MEMORY.keep(name, self.text, (page.title, page.toc, page.present_anchor_ids, html))
        return html

    @event_priority(100)  # before the theme's search
    def _for_search(self, /, context: Any, *, page: Page, config: MkDocsConfig, **_: Any) -> Any:
        self.content = page.content or ""
        self.indexed = len(_entries(config))
        known = MEMORY.find(f"index {page.url}", self.content)
        page.content = "" if known else search.readable(self.content)
        return context

    @event_priority(-100)  # after it
    def _for_readers(self, /, context: Any, *, page: Page, config: MkDocsConfig, **_: Any) -> Any:
        """The whole page again, which knows where it is mended."""
        name, entries = f"index {page.url}", _entries(config)
        if known := MEMORY.find(name, self.content):
            entries += known
        else:
            MEMORY.keep(name, self.content, entries[self.indexed :])
        page.content = self.content
        page.edit_url = shell.edit_url(page, config)
        return context

    on_page_context = CombinedEvent(_for_search, _for_readers)

    @event_priority(-100)  # when every other plugin has written its files
    def on_post_build(self, *, config: MkDocsConfig) -> None:
        """What depends on all pages."""
        theme, words = self.project.root / "theme", terms.load(self.project)
        search.finish(Path(config.site_dir), theme, words, self.keywords)
        shell.finish(config, self.project)

    def on_build_error(self, **_: Any) -> None:
        """The next build does again what this one did."""
        MEMORY.forget()

    def on_env(self, env: Any, **_: Any) -> Any:
        """All pages are read: stop here when any has a problem.

        Raises:
            PluginError: names every problem of every page.
        """
        if self.problems:
            raise PluginError("\n  ".join(map(str, ordered(self.problems))))
        # Every build makes a new environment, which would compile the theme's templates anew.
        templates = paths.cache_home() / "site-templates"
        templates.mkdir(parents=True, exist_ok=True)
        env.bytecode_cache = FileSystemBytecodeCache(str(templates))
        return env

    def _find(self, lab: str, cell: str) -> cell_block.Shown:
        return cell_block.finder(self.project, self.page, self._proof)(lab, cell)

    def _figures(self) -> figure_block.Finder:
        return figure_block.Finder(self.project, self.page, self._proof)

    def _proof(self, lab: str) -> provenance.Provenance:
        return provenance.of_lab(self.project.lab(lab), self.checked)

    def _link(self, href: str, page: Page, files: Files) -> str:
        """A link as it works in JupyterLab, turned into the site's."""
        target, _, anchor = href.partition("#")
        if not target or ":" in target:
            return href
        source = navigation.source_of_link(target)
        found = files.get_file_from_path(source) if source else None
        if found is None:
            name = posixpath.basename(page.file.src_uri)
            log.warning(
                "notebooks/%s links to `%s`, which is no page and no lab; "
                "link to ../docs/….md or to another .ipynb",
                name,
                href,
            )
            return href
        url = found.url_relative_to(page.file)
        if found.src_uri == page.file.src_uri:
            url = ""
        return f"{url}#{anchor}" if anchor else url
