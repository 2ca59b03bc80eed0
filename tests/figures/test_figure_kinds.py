"""What every kind of picture owes its reader, and the samples that show each of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from jsonschema import Draft202012Validator

from handbook import paths
from handbook.errors import HandbookError
from handbook.figures.kinds import KINDS
from handbook.site import figure_data
from handbook.site.project import Project

RECORDED = "trace/13-outbox/outbox-committed.json"
SHOWN = {
    "space-time": ["sample/space-time.json", RECORDED],
    "timeline": ["sample/spans.json"],
    "matrix": ["sample/matrix.json"],
    "steps": [
        "sample/steps-g2-item-serializable.json",
        "sample/steps-p4-read-committed.json",
        "steps/13-outbox/watermark.json",
    ],
    "explorer": ["sample/explorer.json", "explorer/13-outbox/deaths.json"],
}
ALL = [(kind, name) for kind, names in SHOWN.items() for name in names]
FOLDERS = {schema: kind for kind, schema in ((name, kind.schema) for name, kind in KINDS.items())}

Parse = Callable[[str], BeautifulSoup]


def drawn(kind: str, name: str) -> str:
    """The picture as a page gets it."""
    return KINDS[kind].render(figure_data.load(Project(), kind, name))


def test_every_kind_has_a_sample() -> None:
    """The pattern page can show each kind, so these tests cover each."""
    assert SHOWN.keys() == KINDS.keys()


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_picture_has_a_name_a_story_and_a_table(kind: str, name: str, parsed: Parse) -> None:
    """Who does not see the drawing reads the same in words."""
    tree = parsed(drawn(kind, name))
    for picture in tree.select("svg[role=img]"):
        assert picture["aria-label"]
        assert picture.title is not None
        assert picture.desc is not None
        assert picture.title.get_text()
        assert len(picture.desc.get_text()) > 10
    assert tree.select("table tbody tr, ol.steps__list > li")
    for table in tree.select("table"):
        assert table.select("caption, th[scope=col], th[scope=row]")
        assert len(table.select("th[scope=col]")) <= 5


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_picture_needs_no_inline_style_or_script(kind: str, name: str, parsed: Parse) -> None:
    """The site's content policy refuses both; colours come from classes and tokens."""
    tree = parsed(drawn(kind, name))
    assert tree.select("[style], style, script") == []
    handlers = [key for tag in tree.find_all() for key in tag.attrs if key.startswith("on")]
    assert handlers == []
    assert not re.search(r"#[0-9a-f]{3,6}\b", str(tree.select("svg")))


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_picture_is_the_same_when_it_is_drawn_again(kind: str, name: str) -> None:
    """Drawing is a pure function: same data, same bytes, and the data stay as they were."""
    data = figure_data.load(Project(), kind, name)
    before = deepcopy(data)
    assert KINDS[kind].render(data) == KINDS[kind].render(data)
    assert data == before


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_picture_says_what_its_data_say_when_they_hold_markup(kind: str, name: str) -> None:
    """A label is text: `<` in data never becomes a tag."""

    def hostile(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {one: hostile(inner, one) for one, inner in value.items()}
        if isinstance(value, list):
            return [hostile(inner) for inner in value]
        return "<b>&" if key in {"label", "title", "text", "sql", "who"} else value

    data = figure_data.load(Project(), kind, name)
    if kind == "timeline":
        data = {**data, "strips": hostile(data["strips"])}
    html = KINDS[kind].render(hostile(data))
    assert "<b>&" not in html
    assert "&lt;b&gt;&amp;" in html or kind == "matrix"


@pytest.mark.parametrize(
    "file", sorted(paths.DATA.rglob("*.json")), ids=lambda file: file.relative_to(paths.DATA)
)
def test_every_data_file_is_in_order(file: Path) -> None:
    """Schemas are JSON; everything else fits the schema of the kind that shows it."""
    name = file.relative_to(paths.DATA).as_posix()
    folder = name.partition("/")[0]
    if folder == "schema":
        schema = json.loads(file.read_text("utf-8"))
        Draft202012Validator.check_schema(schema)
        assert schema["additionalProperties"] is False
        return
    stem = file.stem.partition("-")[0]
    kinds = {"saga": "space-time", "space": "space-time"} | FOLDERS
    kind = kinds[stem if folder == "sample" else folder]
    assert figure_data.load(Project(), kind, name)["name"]


def change(project: Project, name: str, **changes: Any) -> None:
    """Rewrite a data file; `None` removes a key."""
    file = project.data / name
    data = {**json.loads(file.read_text("utf-8")), **changes}
    kept = {key: value for key, value in data.items() if value is not None}
    file.write_text(json.dumps(kept), "utf-8")


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_load_is_red_when_a_file_has_a_key_its_schema_does_not_know(
    project: Project, kind: str, name: str
) -> None:
    """A misspelt key is no silent loss."""
    figure_data.load(project, kind, name)
    change(project, name, colour="red")
    with pytest.raises(HandbookError, match="does not fit its schema") as caught:
        figure_data.load(project, kind, name)
    assert f"docs/_data/{name}" in str(caught.value)
    assert "colour" in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "name", "changes", "what"),
    [
        (
            "space-time",
            "trace/13-outbox/outbox-committed.json",
            {"lanes": ["kafka"]},
            "not in `lanes`",
        ),
        ("timeline", "sample/spans.json", {"sample": None}, "hides it"),
        (
            "space-time",
            "trace/13-outbox/outbox-committed.json",
            {"sample": "손으로 만들었습니다."},
            "says",
        ),
        ("matrix", "sample/matrix.json", {"levels": [{"id": "x", "name": "X"}]}, "is missing"),
        ("steps", "sample/steps-p4-read-committed.json", {"sessions": ["T1"]}, "not in `sessions`"),
        ("explorer", "sample/explorer.json", {"axes": []}, "does not fit"),
    ],
)
def test_load_is_red_when_a_file_contradicts_itself(
    project: Project, kind: str, name: str, changes: dict[str, Any], what: str
) -> None:
    """Wrong data are refused with the file, the place and what to do."""
    change(project, name, **changes)
    with pytest.raises(HandbookError, match=what) as caught:
        figure_data.load(project, kind, name)
    assert caught.value.next_step


def test_load_is_red_when_a_run_names_a_trace_that_is_gone(project: Project) -> None:
    """The explorer shows recorded runs, so each recording has to be there."""
    (project.data / "sample/saga-reject-memory.json").unlink()
    with pytest.raises(HandbookError, match=r"saga-reject-memory\.json does not exist"):
        figure_data.load(project, "explorer", "sample/explorer.json")


@pytest.mark.parametrize("name", ["../coverage.json", "trace/gone.json", "trace"])
def test_load_is_red_when_there_is_no_such_file(project: Project, name: str) -> None:
    """Only files below docs/_data are data."""
    with pytest.raises(HandbookError, match="does not exist"):
        figure_data.load(project, "space-time", name)


def test_load_is_red_when_a_file_is_no_json(project: Project) -> None:
    """Half a file is named, not shown."""
    (project.data / "sample/spans.json").write_text("{", "utf-8")
    with pytest.raises(HandbookError, match="is no JSON"):
        figure_data.load(project, "timeline", "sample/spans.json")
