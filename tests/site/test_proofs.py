"""Links from claims to tests: rendered when the test exists, red when it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from handbook.site import gates, proofs, source
from handbook.site.project import Project

TEST = '''"""Tests."""


def test_keeps() -> None:
    """Nothing is "lost".

    More.
    """


class TestRelay:
    """A class."""

    async def test_orders(self) -> None:
        """Order
        is kept.
        """


def helper() -> None:
    """No test."""
'''
KEEPS = "tests/snippets/test_relay.py::test_keeps"
ORDERS = "tests/snippets/test_relay.py::TestRelay::test_orders"


@pytest.fixture
def checkout(project: Project) -> Project:
    """The small project with a file of tests."""
    file = project.root / "tests/snippets/test_relay.py"
    file.parent.mkdir()
    file.write_text(TEST, "utf-8")
    return project


def check(project: Project, text: str) -> list[str]:
    """What the gate says to a page."""
    return [problem.what for problem in proofs.check(project, "docs/a.md", source.lines(text))]


def test_tests_are_read_with_their_claims(checkout: Project) -> None:
    """The first paragraph of the docstring in one line; helpers are no tests."""
    assert [(test.node, test.line, test.claim) for test in proofs.all_tests(checkout)] == [
        (KEEPS, 4, 'Nothing is "lost".'),
        (ORDERS, 14, "Order is kept."),
    ]


@pytest.mark.parametrize("node", [KEEPS, ORDERS, f"{KEEPS}[3-a]"])
def test_find_knows_what_pytest_knows(checkout: Project, node: str) -> None:
    """With a class or parameters, too."""
    assert proofs.find(checkout, node) is not None


def test_link_leads_to_the_list_of_tests_without_a_repository(checkout: Project) -> None:
    """Relative to the page; the claim is the tooltip."""
    href = proofs.address("events/outbox.md", None)
    shown = proofs.render(checkout, f"| a | test:{KEEPS} |", href)
    assert shown == (
        "| a | [`test_keeps`](../reference/tests.md#snippets-test-relay-py-test-keeps "
        "\"Nothing is 'lost'.\") |"
    )


@pytest.mark.parametrize(
    ("repository", "url"),
    [
        ("https://github.com/o/r", "https://github.com/o/r/blob/HEAD/tests/snippets/test_relay.py#L4"),
        ("https://gitlab.com/o/r/", "https://gitlab.com/o/r/-/blob/HEAD/tests/snippets/test_relay.py#L4"),
    ],
)  # fmt: skip
def test_link_leads_to_the_source_with_a_repository(
    checkout: Project, repository: str, url: str
) -> None:
    """The line of the test."""
    shown = proofs.render(checkout, f"[증명](test:{KEEPS})", proofs.address("a.md", repository))
    assert shown == f"[증명]({url})"


@pytest.mark.parametrize(
    "text", [f"`test:{KEEPS}`", f"```text\ntest:{KEEPS}\n```", "내용이 test: 입니다"]
)
def test_code_is_no_link(checkout: Project, text: str) -> None:
    """So that the syntax can be shown."""
    assert proofs.render(checkout, text, proofs.address("a.md", None)) == text
    assert check(checkout, text) == []


@pytest.mark.parametrize(
    ("written", "what"),
    [
        (KEEPS.replace("keeps", "keps"), "there is no test"),
        (KEEPS.replace("relay.py", "rely.py"), "tests/snippets/test_rely.py does not exist"),
        ("tests/snippets/test_relay.py", "names no test"),
        ("tests/snippets/test_relay.py::helper", "there is no test"),
    ],
)
def test_an_unknown_test_is_red(checkout: Project, written: str, what: str) -> None:
    """Bare or as the target of a link; a typing error gets the test that was meant."""
    for text in (f"| a | test:{written} |", f"[증명](test:{written})"):
        (said,) = check(checkout, text)
        assert what in said
    assert check(checkout, f"test:{KEEPS} test:{ORDERS}") == []


def test_a_page_with_an_unknown_test_is_red_in_the_gate(checkout: Project) -> None:
    """The build fails with file, line and what to do."""
    page = checkout.docs / "events/outbox.md"
    before = page.read_text("utf-8")
    page.write_text(f"{before}\n증명은 test:{KEEPS}s입니다.\n", "utf-8")
    (problem,) = gates.check_page(checkout, "events/outbox.md")
    assert problem.where == f"docs/events/outbox.md:{before.count(chr(10)) + 2}"
    assert f"did you mean `{KEEPS}`?" in problem.next_step


def test_list_holds_every_test_under_its_file(checkout: Project) -> None:
    """An anchor a test; names of the source are text, no markup."""
    shown = proofs.listing(checkout, None)
    assert "## `tests/snippets/test_relay.py` {#snippets-test-relay-py}" in shown
    assert '<dt id="snippets-test-relay-py-test-keeps"><code>test_keeps</code></dt>' in shown
    assert "<dd>Nothing is &quot;lost&quot;.</dd>" in shown


def test_list_begins_with_what_pages_rest_on(checkout: Project) -> None:
    """The subject before the tooling."""
    (checkout.root / "tests/test_a.py").write_text("def test_a() -> None:\n    pass\n", "utf-8")
    assert [test.file for test in proofs.all_tests(checkout)][-1] == "tests/test_a.py"


def test_a_change_of_the_file_is_seen(checkout: Project) -> None:
    """While the site is served, tests come and go."""
    file = Path(checkout.root / "tests/snippets/test_relay.py")
    assert proofs.find(checkout, KEEPS)
    file.write_text(TEST.replace("test_keeps", "test_holds") + "\n", "utf-8")
    assert proofs.find(checkout, KEEPS) is None
