"""Links from a page's claims to the tests that prove them: `test:tests/FILE.py::NAME`.

With a repository's address they lead to the test's source, else to the site's own list of tests,
which holds the claim of each test: its docstring.
"""

from __future__ import annotations

import ast
import difflib
import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path

from handbook.site import source
from handbook.site.problems import Problem
from handbook.site.project import Project

LIST = "reference/tests.md"
FIRST = "snippets"
NODE = r"tests/[A-Za-z0-9_./-]+\.py::[A-Za-z0-9_]+(?:::[A-Za-z0-9_]+)*(?:\[[^\]\s]*\])?"
# A test's name in the text, or as the target of a link; code spans are left alone.
LINK = re.compile(rf"(?P<code>(?P<ticks>`+).+?(?P=ticks))|(?P<target>\]\()?\btest:(?P<node>{NODE})")
MISTYPED = re.compile(r"(?P<code>(?P<ticks>`+).+?(?P=ticks))|\btest:(?P<rest>[\w./][^\s)|]*)")


@dataclass(frozen=True)
class Test:
    """One test: what pytest calls it, where it stands, and what it claims."""

    node: str
    line: int
    claim: str

    __test__ = False  # pytest would collect it by its name

    @property
    def file(self) -> str:
        """The file, from the checkout's root."""
        return self.node.partition("::")[0]

    @property
    def name(self) -> str:
        """The name without its file."""
        return self.node.partition("::")[2]

    @property
    def anchor(self) -> str:
        """Its place in the list of tests."""
        return re.sub(r"[^a-z0-9]+", "-", self.node.removeprefix("tests/").lower()).strip("-")


def tests(file: Path, root: Path) -> list[Test]:
    """The tests of one file, in order."""
    return list(_tests(file, file.relative_to(root).as_posix(), file.stat().st_mtime_ns))


def all_tests(project: Project) -> list[Test]:
    """Every test of the checkout, by file; first those that the claims of pages rest on."""
    folder = project.root / "tests"
    files = sorted(folder.rglob("test_*.py"), key=lambda file: (file.parent.name != FIRST, file))
    return [test for file in files for test in tests(file, project.root)]


def find(project: Project, node: str) -> Test | None:
    """The test that pytest knows as `node`; its parameters (`[3]`) do not matter."""
    plain = node.partition("[")[0]
    file = project.root / plain.partition("::")[0]
    if not file.is_file():
        return None
    return next((test for test in tests(file, project.root) if test.node == plain), None)


@lru_cache(maxsize=512)
def _tests(file: Path, name: str, _changed: int) -> tuple[Test, ...]:
    tree = ast.parse(file.read_text("utf-8"))
    return tuple(_of(tree, name))


def _of(scope: ast.Module | ast.ClassDef, prefix: str) -> Iterator[Test]:
    for node in scope.body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _of(node, f"{prefix}::{node.name}")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(
            "test"
        ):
            claim = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
            yield Test(f"{prefix}::{node.name}", node.lineno, claim)


def check(project: Project, file: str, page: list[source.Line]) -> Iterator[Problem]:
    """Every link of a page to a test that does not exist."""
    for line in page:
        if line.kind == "code":
            continue
        for found in MISTYPED.finditer(line.text):
            written = found["rest"]
            if written and (problem := _fault(project, written)):
                yield Problem(f"{file}:{line.number}", *problem)


def _fault(project: Project, written: str) -> tuple[str, str] | None:
    node = re.match(NODE, written)
    if not node:
        return (
            f"`test:{written}` names no test",
            "write `test:tests/FOLDER/test_FILE.py::test_NAME`",
        )
    path = project.root / node[0].partition("::")[0]
    if not path.is_file():
        return f"{node[0].partition('::')[0]} does not exist", "name a file below tests/"
    if find(project, node[0]):
        return None
    known = [test.node for test in tests(path, project.root)]
    near = difflib.get_close_matches(node[0], known, n=1, cutoff=0.3)
    hint = f"did you mean `{near[0]}`?" if near else "write the test first"
    return f"there is no test `{node[0]}`", hint


def in_text(text: str) -> list[str]:
    """The tests that a line links to."""
    return [found["node"] for found in LINK.finditer(text) if found["node"]]


def render(project: Project, markdown: str, href: Callable[[Test], str]) -> str:
    """The page with its links to tests as ordinary links. Unknown tests stay; the gate says so."""

    def one(found: re.Match[str]) -> str:
        test = find(project, found["node"]) if found["node"] else None
        if test is None:
            return found[0]
        if found["target"]:
            return f"]({href(test)}"
        claim = test.claim.replace('"', "'")
        return f'[`{test.name}`]({href(test)} "{claim}")'

    coded = {line.number for line in source.lines(markdown) if line.kind == "code"}
    done = [
        text if number in coded else LINK.sub(one, text)
        for number, text in enumerate(markdown.split("\n"), start=1)
    ]
    return "\n".join(done)


def address(page: str, repository: str | None) -> Callable[[Test], str]:
    """Where a test is shown: its source in the repository, or its place in the site's list."""

    def href(test: Test) -> str:
        if repository:
            return in_repository(repository, test)
        here = posixpath.dirname(page) or "."
        return f"{posixpath.relpath(LIST, here)}#{test.anchor}"

    return href


def in_repository(repository: str, test: Test) -> str:
    """The test's line at the repository's address; GitLab's paths have a `-` of their own."""
    blob = "-/blob" if "gitlab" in repository else "blob"
    return f"{repository.rstrip('/')}/{blob}/HEAD/{test.file}#L{test.line}"


def listing(project: Project, repository: str | None) -> str:
    """Every test with its claim, under its file, as Markdown."""
    parts: list[str] = []
    found = all_tests(project)
    for file in dict.fromkeys(test.file for test in found):
        anchor = re.sub(r"[^a-z0-9]+", "-", file.removeprefix("tests/").lower()).strip("-")
        parts += [f"## `{file}` {{#{anchor}}}", "", '<dl class="tests" lang="en">']
        parts += [_entry(test, repository) for test in found if test.file == file]
        parts += ["</dl>", ""]
    return "\n".join(parts) or "아직 테스트가 없습니다."


def _entry(test: Test, repository: str | None) -> str:
    name = f"<code>{escape(test.name)}</code>"
    if repository:
        name = f'<a href="{escape(in_repository(repository, test))}">{name}</a>'
    return f'<dt id="{escape(test.anchor)}">{name}</dt>\n<dd>{escape(test.claim)}</dd>'
