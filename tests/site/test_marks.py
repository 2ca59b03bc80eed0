"""What a page's source asks for is read with line numbers."""

from __future__ import annotations

from textwrap import dedent

import pytest

from handbook.site import marks
from handbook.site.marks import Embed, Fence, Malformed, Quote


def read(text: str) -> marks.Marks:
    """The marks of an indented text."""
    return marks.read(dedent(text).lstrip("\n"))


def test_read_counts_lines_from_the_top_of_the_file_when_there_is_front_matter() -> None:
    """Front matter is part of the file: line numbers are the ones an editor shows."""
    found = read("""
        ---
        title: a
        ---

        # A

        /// cell | 13-outbox#e20-loses
        ///
    """)
    assert found.embeds == [Embed(7, "13-outbox", "e20-loses")]
    assert found.front_matter == {"title": "a"}


def test_read_knows_the_part_when_an_option_names_it() -> None:
    """`part:` chooses source or output."""
    found = read("""
        /// cell | 13-outbox#e20-loses
            part: output
        ///
    """)
    assert found.embeds == [Embed(1, "13-outbox", "e20-loses", "output")]


def test_read_finds_a_cell_when_it_stands_inside_a_list_or_another_block() -> None:
    """Indentation and nesting hide nothing from the gate."""
    found = read("""
        /// details | 원본
        /// cell | 01-demo#a
        ///
        ///

        1. 하나

            /// cell | 01-demo#b
            ///
    """)
    assert [embed.ref for embed in found.embeds] == ["01-demo#a", "01-demo#b"]


def test_read_ignores_blocks_when_they_are_shown_as_text() -> None:
    """A fence that explains the notation embeds nothing."""
    found = read("""
        ````text
        /// cell | 01-demo#a
        ///
        ```
        ````
    """)
    assert (found.embeds, found.malformed) == ([], [])


@pytest.mark.parametrize(
    "block",
    [
        "/// cell\n///",
        "/// cell | 13-outbox\n///",
        "/// cell | 13-outbox#\n///",
        "/// cell | a#b#c\n///",
        "/// cell | a b#c\n///",
        "/// cell 13-outbox#a\n///",
        "/// cell | 13-outbox#a\n    part: both sides\n///",
        "/// cell | 13-outbox#a\n    part: input\n///",
        "/// cell | 13-outbox#a\n    lines: 3\n///",
        "/// cell | 13-outbox#a\ntext\n///",
        "/// cell | 13-outbox#a",
    ],
)
def test_read_reports_the_line_when_a_cell_block_is_malformed(block: str) -> None:
    """A block that pymdownx would leave as text is an error with its line and a remedy."""
    found = marks.read(f"# A\n\n{block}\n")
    assert [bad.line for bad in found.malformed] == [3]
    assert not found.embeds
    assert found.malformed[0].next_step


def test_read_tells_quoted_from_typed_when_a_fence_holds_both() -> None:
    """One typed line makes a fence typed, even below a quote."""
    found = read("""
        ```python title="a"
        --8<-- "outbox.py:table"
        ```

        ```{ .sql }
        --8<-- "outbox.py:table"

        SELECT 1
        ```

        ~~~ bash
        make
        ~~~
    """)
    assert found.fences == [Fence(1, "python", None), Fence(5, "sql", 8), Fence(11, "bash", 12)]
    assert found.quotes == [Quote(2, "outbox.py", "table"), Quote(6, "outbox.py", "table")]


@pytest.mark.parametrize("line", ["--8<--", '--8<-- "a.py', '--8<-- "a.py:1:3"', "--8<-- a.py"])
def test_read_reports_a_quote_when_it_is_not_one_file_and_section(line: str) -> None:
    """Block quotes and line ranges break silently when the file changes, so they are refused."""
    found = marks.read(f"```python\n{line}\n```\n")
    assert [type(bad) for bad in found.malformed] == [Malformed]
    assert found.malformed[0].line == 2
