"""Tables: row headers, column headers, and a frame that scrolls."""

from __future__ import annotations

from bs4 import BeautifulSoup, Tag
from markdown import markdown

from handbook.site import tables

SOURCE = """
| 방법 | 수 | |
| --- | ---: | --- |
| 하나 | 1 | a |
| | 2 | `<td>` |
"""


def improved(source: str = SOURCE) -> Tag:
    """The table that becomes of the Markdown."""
    html = markdown(source, extensions=["tables"], extension_configs=ALIGNED)
    found = BeautifulSoup(tables.improve(html), "html.parser").find("div")
    assert isinstance(found, Tag)
    return found


ALIGNED = {"tables": {"use_align_attribute": True}}


def test_first_cell_of_a_row_is_its_header() -> None:
    """So that a screen reader names the row; an empty cell names nothing."""
    table = improved()
    assert [cell.get_text() for cell in table.select('tbody th[scope="row"]')] == ["하나"]
    assert len(table.select("tbody tr")) == 2
    assert [len(row.select("th, td")) for row in table.select("tr")] == [3, 3, 3]


def test_columns_have_headers_and_keep_their_alignment() -> None:
    """An empty header becomes a cell."""
    table = improved()
    assert [cell.get_text() for cell in table.select('thead th[scope="col"]')] == ["방법", "수"]
    assert len(table.select("thead td")) == 1
    assert [cell.get_text() for cell in table.select('tbody [align="right"]')] == ["1", "2"]


def test_table_stands_in_a_frame_that_the_keyboard_can_scroll() -> None:
    """One frame a table, with a name and a tab stop; nothing inline."""
    frame = improved()
    assert frame["class"] == ["table-scroll"]
    assert (frame["tabindex"], frame["aria-label"]) == ("0", "표")
    assert "style=" not in str(frame)


def test_other_tables_and_text_are_left_alone() -> None:
    """A figure's table has a class; code that shows a table is text."""
    for html in ('<table class="x"><tr><td>a</td></tr></table>', "<code>&lt;table&gt;</code>"):
        assert tables.improve(html) == html
