"""`/// figure` and `/// predict` on a page, and the gate that knows file and line."""

from __future__ import annotations

import json
import re

import pytest
from bs4 import BeautifulSoup, Tag

from handbook.errors import CheckFailedError
from handbook.site import build, figure_marks
from handbook.site.problems import Problem
from handbook.site.project import Project

PAGE = "index.md"
RECORDED = "trace/13-outbox/outbox-committed.json"
FIGURE = """\
/// figure | space-time trace/13-outbox/outbox-committed.json
릴레이가 *대신* 보냅니다.
///
"""
PREDICT = r"""
/// predict | 01-demo#e1-loses
    answer: lost=(\d+)

`SIGKILL`로 죽이면 몇 개를 잃습니까?

- 0개
- 3개
- 30개

보낼 사람이 없습니다.
///
"""


def add(project: Project, text: str) -> int:
    """Append to the page; the number of the first added line."""
    file = project.docs / PAGE
    before = file.read_text("utf-8")
    file.write_text(f"{before}\n{text}\n", "utf-8")
    return before.count("\n") + 2


def print_from(project: Project, text: str) -> None:
    """Let the lab's cell print that text."""
    file = project.notebooks / "01-demo.ipynb"
    raw = json.loads(file.read_text("utf-8"))
    cell = next(cell for cell in raw["cells"] if cell["id"] == "e1-loses")
    cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": [text]}]
    file.write_text(json.dumps(raw), "utf-8")


def found(project: Project) -> list[Problem]:
    """What the gate finds wrong with the page's blocks."""
    text = (project.docs / PAGE).read_text("utf-8")
    return list(figure_marks.check(project, f"docs/{PAGE}", text))


def only(problems: list[Problem]) -> Problem:
    """The one problem there is."""
    assert len(problems) == 1, problems
    return problems[0]


def article(project: Project) -> Tag:
    """The built page's text."""
    html = (project.site / "index.html").read_text("utf-8")
    found = BeautifulSoup(html, "html.parser").find("article")
    assert isinstance(found, Tag)
    return found


def test_page_shows_picture_table_caption_and_card(project: Project) -> None:
    """One build: the picture with its table and origin, the card with its answer and proof."""
    print_from(project, "lost=3\n")
    add(project, FIGURE + PREDICT)
    assert found(project) == []
    build.build(project)
    page = article(project)
    (figure,) = page.select("figure.figure--space-time")
    assert len(figure.select("svg[role=img]")) == 2
    assert len(figure.select("details tbody tr")) == 6
    assert figure.select("p > svg, p:empty") == []
    caption = figure.select_one("figcaption")
    assert caption is not None
    assert caption.select_one("em") is not None
    (card,) = page.select(".predict")
    assert card.select_one("fieldset")["data-right"] == "1"  # type: ignore[index]
    assert len(card.select("label input[type=radio]")) == 3
    assert card.select_one("legend code").get_text() == "SIGKILL"  # type: ignore[union-attr]
    said = card.select_one("details").get_text()  # type: ignore[union-attr]
    assert re.search(r"3개 \(실습 01-demo의 출력 lost=3\)\s+보낼 사람이 없습니다\.", said)
    link = card.select_one("details a")
    assert link is not None
    assert link["href"] == "labs/01-demo/#e1-loses"


def test_answer_follows_the_lab_when_it_prints_something_else(project: Project) -> None:
    """The page is not touched; the right choice moves, or the gate turns red."""
    line = add(project, PREDICT) + 1
    print_from(project, "lost=30\n")
    assert found(project) == []
    print_from(project, "lost=7\n")
    problem = only(found(project))
    assert problem.where == f"docs/{PAGE}:{line}"
    assert "printed `7`, and 0 choices" in problem.what


def test_sample_says_that_it_is_one(project: Project) -> None:
    """Invented data never look like a recording."""
    add(project, "/// figure | timeline sample/spans.json\n그림입니다.\n///\n")
    build.build(project)
    (source,) = article(project).select(".figure__source")
    assert source.get_text().startswith("본보기 자료: ")


@pytest.mark.parametrize(
    ("block", "what"),
    [
        ("/// figure | sequence trace/13-outbox/outbox-committed.json\nx\n///", "kind `sequence`"),
        ("/// figure | space-time trace/13-outbox/outbx.json\nx\n///", "does not exist"),
        ("/// figure | space-time ../coverage.json\nx\n///", "does not exist"),
        (
            "/// figure | steps trace/13-outbox/outbox-committed.json\nx\n///",
            "does not fit its schema",
        ),
        ("/// figure | space-time\nx\n///", "names no data"),
        ("/// figure\nx\n///", "names no data"),
        ("/// figure | space-time trace/13-outbox/outbox-committed.json\n///", "no caption"),
        ("/// figure | space-time trace/13-outbox/outbox-committed.json\nx", "is not closed"),
        (PREDICT.strip().replace("01-demo", "01-dmo"), "no lab `01-dmo`"),
        (PREDICT.strip().replace("e1-loses", "e1-losses"), "no cell `e1-losses`"),
        (PREDICT.strip().replace("e1-loses", "cleanup"), "no stored output"),
        (PREDICT.strip().replace("#e1-loses", ""), "names no cell"),
        (PREDICT.strip().replace("lost=", "sent="), "is not in the cell's output"),
        (PREDICT.strip().replace("    answer", "    anwser"), "does not say which part"),
        (PREDICT.strip().replace("- 3개\n", ""), "has 2 choices"),
        (PREDICT.strip().replace("- 3개", "- 4개"), "0 choices begin with it"),
        (re.sub(r"`SIGKILL`.*\n", "", PREDICT.strip()), "asks nothing"),
    ],
)
def test_gate_names_file_and_line_when_a_block_is_broken(
    project: Project, block: str, what: str
) -> None:
    """Each fault of a page writer is one problem with file, line, what and what to do."""
    print_from(project, "lost=3\n")
    assert found(project) == []
    line = add(project, block)
    problem = only(found(project))
    assert what in problem.what
    assert problem.where == f"docs/{PAGE}:{line}"
    assert problem.next_step


def test_build_fails_with_the_place_when_data_are_gone(project: Project) -> None:
    """The gate is part of the build, and the site before it stays."""
    line = add(project, FIGURE.replace("outbox-committed.json", "gone.json"))
    with pytest.raises(CheckFailedError) as caught:
        build.build(project)
    assert f"docs/{PAGE}:{line}: docs/_data/trace/13-outbox/gone.json" in str(caught.value)
    assert not project.site.exists()


def test_block_is_only_shown_when_it_stands_in_a_fence(project: Project) -> None:
    """A writing guide may show the syntax without meaning it."""
    add(project, f"```text\n{FIGURE.replace('outbox.json', 'gone.json')}```")
    assert found(project) == []


def test_pictures_of_a_page_are_listed() -> None:
    """Which data a page shows can be compared with what it promises."""
    assert figure_marks.pictures(f"{FIGURE}\n{PREDICT}") == [
        "trace/13-outbox/outbox-committed.json"
    ]
