"""What surrounds the pages: style sheet, fonts, flow charts, edit links, content policy.

Thin on purpose: the modules beside it do the work, and the plugin calls these three functions.
"""

from __future__ import annotations

import posixpath
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from handbook.site import assets, csp, flowchart, fonts, search, styles
from handbook.site.project import Project

EDIT_BRANCH = "edit/main"
# Sources below theme/ that are no files of the site as they lie there.
MADE_INTO_OTHERS = (f"{styles.SOURCES}/", f"{flowchart.SOURCES}/", f"{search.SOURCES}/")


def configure(config: MkDocsConfig, project: Project) -> None:
    """Address our files by their content; find out whether there are fonts of our own."""
    theme = theme_of(project)
    sheet = styles.versioned(styles.PLACE, styles.join(theme))
    config.extra_css = [sheet if path == styles.PLACE else path for path in config.extra_css]
    for script in config.extra_javascript:
        if not isinstance(script, str) and (theme / script.path).is_file():
            script.path = styles.versioned(script.path, (theme / script.path).read_text("utf-8"))
    packages = assets.get(project.root)
    config.extra["assets"] = str(packages) if packages else ""
    config.extra["fonts_css"] = fonts.SHEET if packages else ""
    config.extra["flowchart_js"] = f"{flowchart.FOLDER}/flowchart.js" if packages else ""


def theme_of(project: Project) -> Path:
    """Our part of the theme."""
    return project.root / "theme"


def add_files(files: Files, config: MkDocsConfig, project: Project) -> None:
    """The joined style sheet in place of its partials."""
    for file in [file for file in files if file.src_uri.startswith(MADE_INTO_OTHERS)]:
        files.remove(file)
    content = styles.join(theme_of(project))
    files.append(File.generated(config, styles.PLACE, content=content))


def edit_url(page: Page, config: MkDocsConfig) -> str | None:
    """Where a reader mends the page's source, or a lab's notebook; None without a repository."""
    if not config.repo_url:
        return None
    source = page.file.src_uri
    if source.endswith(".ipynb"):
        source = posixpath.join("notebooks", posixpath.basename(source))
    else:
        source = posixpath.join("docs", source)
    return posixpath.join(config.repo_url, EDIT_BRANCH, source)


def finish(config: MkDocsConfig, project: Project) -> None:
    """All pages are written: what depends on what they show, then the policy over everything."""
    site = Path(config.site_dir)
    if packages := config.extra["assets"]:
        fonts.install(Path(packages), site)
        pages = (path.read_text("utf-8") for path in site.rglob("*.html"))
        if any(map(flowchart.shown, pages)):
            flowchart.install(Path(packages), theme_of(project), site)
    csp.secure(site)
