"""Tables that a screen reader can read aloud and a phone can hold: row headers, and a frame.

Works on the HTML of Markdown's tables, which have no attributes; tables with a class are left to
those who made them.
"""

from __future__ import annotations

import re

TABLE = re.compile(r"<table>\s*(?P<rows>.*?)</table>", re.DOTALL)
EMPTY_HEADER = re.compile(r"<th(?P<align>(?: [^>]*)?)>\s*</th>")
COLUMN_HEADER = re.compile(r"<th(?P<align>(?: [^>]*)?)>")
FIRST_CELL = re.compile(
    r"(?P<row><tr>\s*)<td(?P<align>(?: [^>]*)?)>(?P<content>.*?)</td>", re.DOTALL
)
# Scrolled by keyboard as well; the theme's script would add a frame only later, and move the page.
FRAME = '<div class="table-scroll" role="group" aria-label="표" tabindex="0">{}</div>'


def improve(html: str) -> str:
    """The page with every table's first column as row headers, each table in a frame."""
    return TABLE.sub(lambda found: FRAME.format(_table(found["rows"])), html)


def _table(rows: str) -> str:
    head, mark, body = rows.partition("</thead>")
    head = EMPTY_HEADER.sub(r"<td\g<align>></td>", head)
    head = COLUMN_HEADER.sub(r'<th scope="col"\g<align>>', head)
    body = FIRST_CELL.sub(_row_header, body)
    return f'<table class="table">\n{head}{mark}{body}</table>'


def _row_header(found: re.Match[str]) -> str:
    if not found["content"].strip():
        return found[0]
    return f'{found["row"]}<th scope="row"{found["align"]}>{found["content"]}</th>'
