"""Flow charts: text in the page, drawn by our own Mermaid, loaded only where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from visits import Visit, visit

from handbook import paths
from handbook.site import assets, flowchart

PATTERNS = "reference/writing/patterns/"
GOOD = """```mermaid
flowchart TD
  accTitle: 고르는 순서
  accDescr: 하나를 고릅니다.
  A --> B
```
"""


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (("flowchart TD", "sequenceDiagram"), "no flow chart"),
        (("  accTitle: 고르는 순서\n", ""), "no text for those"),
        (("  accDescr: 하나를 고릅니다.\n", ""), "no text for those"),
    ],
)
def test_gate_is_red_when_a_chart_is_another_picture_or_mute(
    fault: tuple[str, str], named: str
) -> None:
    """File, line, what to do."""
    problems = list(flowchart.check("docs/a.md", f"# A\n\n{GOOD.replace(*fault)}"))
    assert [problem.where for problem in problems] == ["docs/a.md:3"]
    assert named in problems[0].what


def test_gate_is_green_when_a_chart_has_its_texts() -> None:
    """Other code is none of its business."""
    assert list(flowchart.check("docs/a.md", GOOD)) == []
    assert list(flowchart.check("docs/a.md", "```yaml\nmermaid: x\n```\n")) == []


def test_page_shows_the_source_when_nothing_draws_it() -> None:
    """Escaped, in a frame that the script looks for."""
    html = flowchart.fence('A["<b>"] --> B', "mermaid", flowchart.CLASS, {}, None)
    assert "&lt;b&gt;" in html
    assert flowchart.shown(html)
    assert not flowchart.shown('<figure class="cell">')


def test_only_the_parts_for_flow_charts_are_shipped() -> None:
    """Every file that Mermaid imports at once is there, and few of those it may load later."""
    packages = assets.get(paths.ROOT)
    assert packages is not None
    dist = packages / "mermaid/dist"
    shipped = flowchart.modules(dist)
    whole = list(dist.rglob("*.mjs"))
    assert flowchart.ENTRY in shipped
    assert any("flowDiagram-" in name for name in shipped)
    assert not any("ganttDiagram-" in name for name in shipped)
    assert len(shipped) < len(whole) / 2


def charts(seen: Visit) -> Page:
    """The pattern page with its chart drawn."""
    seen.open(PATTERNS)
    seen.page.locator(".flow-chart").scroll_into_view_if_needed()
    seen.page.locator(".flow-chart svg .node").first.wait_for()
    return seen.page


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_chart_is_drawn_in_the_schemes_colours_when_it_comes_near(
    browser: Browser, handbook: tuple[Path, str], scheme: str
) -> None:
    """Without an error; its text in our font and ink, its meaning in title and description."""
    seen = visit(browser, handbook[1], scheme=scheme)
    page = charts(seen)
    ink = page.evaluate("getComputedStyle(document.querySelector('article p')).color")
    text = page.locator(".flow-chart .node text").first
    assert text.evaluate("node => getComputedStyle(node).fill") == ink
    assert "Pretendard" in text.evaluate("node => getComputedStyle(node).fontFamily")
    svg = page.locator(".flow-chart svg")
    assert svg.locator("title").text_content() == "이벤트를 어떻게 보낼지 고르는 순서"
    assert "아웃박스를" in (svg.locator("desc").text_content() or "")
    assert (seen.errors, seen.foreign) == ([], [])
    page.context.close()


@pytest.mark.browser
def test_labels_fit_their_boxes_when_drawn(browser: Browser, handbook: tuple[Path, str]) -> None:
    """Measured with the font that shows them: no text leaves its node."""
    page = charts(visit(browser, handbook[1]))
    outside = page.evaluate(
        """() => [...document.querySelectorAll(".flow-chart .node")].filter((node) => {
             const box = node.querySelector("rect, polygon").getBoundingClientRect();
             const text = node.querySelector("text").getBoundingClientRect();
             return text.left < box.left || text.right > box.right || text.top < box.top
               || text.bottom > box.bottom;
           }).length"""
    )
    assert outside == 0
    page.context.close()


@pytest.mark.browser
def test_mermaid_is_not_loaded_when_a_page_has_no_chart(
    browser: Browser, handbook: tuple[Path, str]
) -> None:
    """Nor on a page with one before the reader comes near."""
    seen = visit(browser, handbook[1])
    for path in ("", "events/outbox/"):
        seen.open(path)
    assert not [address for address in seen.requests if "flowchart" in address]
    seen.page.goto(handbook[1] + PATTERNS, wait_until="load")
    assert not [address for address in seen.requests if "mermaid" in address]
    seen.page.context.close()


@pytest.mark.browser
def test_chart_can_be_read_when_scripts_are_off(
    browser: Browser, handbook: tuple[Path, str]
) -> None:
    """Its source is plain text, description first."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(handbook[1] + PATTERNS)
    assert "accDescr: 응답이 바로 필요하면" in page.locator(".flow-chart code").inner_text()
    context.close()
