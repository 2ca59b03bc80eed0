"""The built site: labs and cells in it, and a build that never leaves half a site."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil

import pytest
from bs4 import BeautifulSoup, Tag

from handbook.errors import CheckFailedError
from handbook.site import build
from handbook.site.project import Project

LAB = "labs/01-demo/index.html"
PAGE = "events/outbox/index.html"


def article(project: Project, page: str) -> Tag:
    """The page's own content."""
    soup = BeautifulSoup((project.site / page).read_text("utf-8"), "html.parser")
    found = soup.find("article")
    assert isinstance(found, Tag)
    return found


def test_cell_is_rendered_as_code_output_and_caption_when_embedded(built: Project) -> None:
    """Source with the lab's and the cell's name, output directly below, then where it is from."""
    figure = article(built, PAGE).select_one('figure[data-cell="e1-loses"]')
    assert figure is not None
    source, output, caption = figure.find_all(recursive=False)
    assert source.select_one(".filename").get_text() == "01-demo · e1-loses"
    assert source.select_one("pre code").get_text().startswith("lost = len(events) - 1")
    assert [pre.get_text() for pre in output.select("pre samp")] == ["lost=2\n<&>"]
    assert caption.a["href"] == "../../labs/01-demo/#e1-loses"
    assert caption.get_text().endswith("검증되지 않음")


def test_cell_shows_one_part_when_the_option_says_so(built: Project) -> None:
    """`part: output` leaves the source out, `part: source` the output."""
    page = article(built, PAGE)
    output = page.select_one('li figure[data-cell="e1-keeps"]')
    source = page.select_one('details figure[data-cell="e1-table"]')
    assert output is not None
    assert source is not None
    assert not output.select("code")
    assert output.select_one("samp").get_text() == "{'lost': 0}"  # type: ignore[union-attr]
    assert source.select("code")
    assert not source.select(".cell-output")


def test_lab_has_an_anchor_for_every_cell_when_built(built: Project) -> None:
    """A cell's id is the anchor that pages link to."""
    ids = [str(tag["id"]) for tag in article(built, LAB).find_all(id=True)]
    cells = json.loads((built.notebooks / "01-demo.ipynb").read_text("utf-8"))["cells"]
    assert set(ids) >= {cell["id"] for cell in cells}
    assert len(ids) == len(set(ids))


def test_lab_headings_keep_hangul_in_their_ids_when_built(built: Project) -> None:
    """A heading that is not its cell's first gets a Korean id, and the contents point to it."""
    page = (built.site / LAB).read_text("utf-8")
    assert '<h3 id="두-번째-제목">' in page
    assert 'href="#두-번째-제목"' in page
    assert '<h2 id="prediction">' in page


def test_lab_is_titled_by_its_heading_when_built(built: Project) -> None:
    """The first heading names the page in the browser and in the navigation."""
    page = (built.site / LAB).read_text("utf-8")
    assert "<title>시험용 실습 - MSA 핸드북</title>" in page
    navigation = BeautifulSoup((built.site / "labs/index.html").read_text("utf-8"), "html.parser")
    assert navigation.select_one('nav a[href="01-demo/"]').get_text(strip=True) == "시험용 실습"  # type: ignore[union-attr]


def test_lab_links_work_on_the_site_when_they_work_in_jupyter(built: Project) -> None:
    """Links in a lab are relative to notebooks/; on the page they lead to pages."""
    links = [str(link["href"]) for link in article(built, LAB).select("p a")]
    assert links == ["../../events/outbox/#fixed", "#e1-table"]


def test_lab_brings_nothing_of_jupyter_when_built(built: Project) -> None:
    """No styles, scripts, prompts or copies of the code: 590 KB became the site's own markup."""
    html = str(article(built, LAB))
    for noise in ("<style", "<script", "jp-", "clipboard", "In [", "mathjax", "mermaid"):
        assert noise not in html.lower() if noise.islower() else noise not in html
    assert article(built, LAB).get_text().count("len(events)") == 1


def test_pages_stay_below_their_budget_when_compressed(built: Project) -> None:
    """A page is at most 100 KB with gzip."""
    sizes = {path: len(gzip.compress(path.read_bytes())) for path in built.site.rglob("*.html")}
    assert sizes
    assert max(sizes.values()) < 100_000


def test_coverage_page_lists_every_row_when_built(built: Project) -> None:
    """The table is made from the files: one row complete, one planned."""
    rows = [
        [cell.get_text() for cell in row.find_all(["th", "td"])]
        for row in article(built, "reference/coverage/index.html").select("tbody tr")
    ]
    assert rows == [
        ["R01", "아웃박스", "완성", ""],
        ["R02", "아직 없는 주제", "예정", "페이지, 실습"],
    ]


def results(project: Project, sha256: str) -> None:
    """What a check of the labs would write."""
    entry = {"verified": "2026-11-23", "sha256": sha256, "postgres": "18.4", "kafka": "4.4.0"}
    project.build.mkdir(exist_ok=True)
    (project.build / "labs.json").write_text(json.dumps({"01-demo": entry}), "utf-8")


def test_provenance_is_shown_when_the_checked_lab_is_the_shown_one(project: Project) -> None:
    """Date and versions stand at the embed and on the lab until a byte of the lab changes."""
    text = "PostgreSQL 18.4 · Kafka 4.4.0에서 2026-11-23에 검증"
    lab = project.notebooks / "01-demo.ipynb"
    results(project, hashlib.sha256(lab.read_bytes()).hexdigest())
    build.build(project)
    for page in (PAGE, LAB):
        assert article(project, page).select_one(".proof--verified").get_text() == text  # type: ignore[union-attr]
    lab.write_bytes(lab.read_bytes() + b"\n")
    build.build(project)
    for page in (PAGE, LAB):
        assert not article(project, page).select(".proof--verified")
        assert article(project, page).select(".proof--unverified")


@pytest.mark.parametrize("damage", ["", "[]", '{"01-demo": {}}', '{"01-demo": {"sha256": "0"}}'])
def test_provenance_is_absent_when_the_results_are_damaged(project: Project, damage: str) -> None:
    """No entry, half an entry or no JSON at all means not verified, never a green mark."""
    project.build.mkdir(exist_ok=True)
    (project.build / "labs.json").write_text(damage, "utf-8")
    build.build(project)
    assert not article(project, LAB).select(".proof--verified")


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("/// cell | 01-demo#gone\n///", "no cell `gone`"),
        ("[x](gone.md)", "gone.md"),
        ("[x](#gone)", "#gone"),
        ("[x](../labs/01-demo.ipynb#gone)", "#gone"),
        ("<!-- handbook:gone -->", "handbook:gone"),
        ("<p id='outbox'></p>", "outbox"),
        ('<img src="https://example.org/a.png" alt="">', "loads"),
        ("[x](http://example.org/)", "not encrypted"),
        ("[x](//example.org/)", "scheme"),
    ],
)
def test_build_leaves_the_old_site_when_a_page_is_broken(
    project: Project, built: Project, fault: str, named: str
) -> None:
    """A failing build names the fault and changes nothing that a reader sees."""
    shutil.copytree(built.site, project.site)
    before = {path: path.read_bytes() for path in project.site.rglob("*.html")}
    page = project.docs / "events/outbox.md"
    page.write_text(f"{page.read_text('utf-8')}\n{fault}\n", "utf-8")
    with pytest.raises(CheckFailedError) as failure:
        build.build(project)
    assert named in str(failure.value)
    assert {path: path.read_bytes() for path in project.site.rglob("*.html")} == before
    assert [path.name for path in project.build.glob("site-*")] == []


def test_build_refuses_a_link_when_a_lab_links_outside_the_site(project: Project) -> None:
    """mkdocs-jupyter does not check the links of a notebook; we do."""
    lab = project.notebooks / "01-demo.ipynb"
    lab.write_text(
        lab.read_text("utf-8").replace("../docs/events/outbox.md", "../gone.md"), "utf-8"
    )
    with pytest.raises(CheckFailedError, match=re.escape("notebooks/01-demo.ipynb links to")):
        build.build(project)


def test_build_refuses_a_page_when_it_is_in_no_navigation(project: Project) -> None:
    """A page nobody can reach is a mistake."""
    (project.docs / "events/lost.md").write_text("# 길 잃은 페이지 {#lost}\n", "utf-8")
    with pytest.raises(CheckFailedError, match=re.escape("events/lost.md")):
        build.build(project)


def test_a_lab_is_on_the_site_when_its_file_is_in_notebooks(project: Project) -> None:
    """Adding a lab is adding a file and nothing else."""
    lab = project.notebooks / "01-demo.ipynb"
    text = lab.read_text("utf-8").replace("시험용 실습", "둘째 실습").replace('"e1-', '"e2-')
    text = text.replace("01-demo.ipynb#e1-table", "01-demo.ipynb#e1-loses")
    (project.notebooks / "02-second.ipynb").write_text(text, "utf-8")
    build.build(project)
    assert "둘째 실습" in (project.site / "labs/index.html").read_text("utf-8")
    assert (project.site / "labs/02-second/index.html").is_file()


def test_site_is_stale_when_a_source_changes(project: Project) -> None:
    """Changed, added and removed sources count; building makes the site fresh again."""
    assert build.is_stale(project)
    build.build(project)
    assert not build.is_stale(project)
    extra = project.snippets / "extra.py"
    for change in (lambda: extra.write_text("x = 1\n", "utf-8"), extra.unlink):
        fresh = build.fingerprint(project)
        change()
        assert build.fingerprint(project) != fresh
    (project.site / "index.html").unlink()
    assert build.is_stale(project)


def test_two_builds_leave_one_whole_site_when_they_run_at_once(project: Project) -> None:
    """Each builds into a folder of its own; the later one waits for the lock."""
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(2) as pool:
        pages = {result.pages for result in pool.map(build.build, [project, project])}
    assert len(pages) == 1
    assert (project.site / LAB).is_file()
    assert sorted(path.name for path in project.root.glob("site*")) == ["site"]


def test_build_sweeps_up_when_an_earlier_one_was_killed(project: Project) -> None:
    """Half a site of a killed build does not stay."""
    (project.build / "site-1").mkdir(parents=True)
    build.build(project)
    assert not (project.build / "site-1").exists()
