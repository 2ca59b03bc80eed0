"""The site's navigation: `mkdocs.yml` says the order, a folder's `/*` says "every page of it"."""

from __future__ import annotations

import posixpath
from typing import Any

import yaml

from handbook.site.project import Project

ALL = "/*"


class _Loader(yaml.SafeLoader):
    """Reads `mkdocs.yml` without MkDocs: its own tags (`!ENV`, `!relative`) are left out."""


_Loader.add_multi_constructor("", lambda *_: None)


def read(project: Project) -> list[Any]:
    """The navigation as `mkdocs.yml` writes it."""
    config = yaml.load(project.config.read_text("utf-8"), Loader=_Loader)  # noqa: S506 (a SafeLoader)
    return list(config.get("nav") or [])


def expand(nav: list[Any], project: Project) -> list[Any]:
    """The navigation with every `folder/*` replaced by the folder's pages, in name order.

    `index.md` is left out: a section names its own. An empty section disappears.
    """
    expanded: list[Any] = []
    for item in nav:
        if isinstance(item, str) and item.endswith(ALL):
            expanded += folder(item.removesuffix(ALL), project)
        elif isinstance(item, dict):
            expanded += [entry for pair in item.items() if (entry := _section(*pair, project))]
        else:
            expanded.append(item)
    return expanded


def _section(title: str, content: Any, project: Project) -> dict[str, Any]:
    if not isinstance(content, list):
        return {title: content}
    inner = expand(content, project)
    return {title: inner} if inner else {}


def folder(name: str, project: Project) -> list[str]:
    """Every page of one folder; `labs` also holds the notebooks."""
    here = project.docs / name
    pages = [f"{name}/{path.name}" for path in here.glob("*.md") if path.name != "index.md"]
    labs = [f"{name}/{lab}.ipynb" for lab in project.labs()] if name == "labs" else []
    return sorted(pages + labs)


def pages(nav: list[Any], project: Project) -> set[str]:
    """Every page that the navigation reaches."""
    found: set[str] = set()
    for item in expand(nav, project):
        if isinstance(item, str):
            found.add(item)
        elif isinstance(item, dict):
            for content in item.values():
                found |= pages(content if isinstance(content, list) else [content], project)
    return found


def source_of_link(target: str) -> str | None:
    """What a link in a notebook points to, as MkDocs names it; None when it is outside the site.

    Labs link as files lie in the checkout, so that links also work in JupyterLab.
    """
    path = posixpath.normpath(posixpath.join("notebooks", target))
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path.startswith("notebooks/") and path.endswith(".ipynb"):
        return f"labs/{posixpath.basename(path)}"
    return None
