"""Colours, computed from the style sheet: legible in both schemes, told apart by all eyes."""

from __future__ import annotations

import re
from itertools import combinations

import colours
import pytest

from handbook import paths
from handbook.site import styles

THEME = paths.ROOT / "theme"
TOKENS = THEME / "styles/10-tokens.css"
PRINT = THEME / "styles/90-print.css"
SCHEMES = ("default", "slate")
GROUNDS = ("ground", "ground-code")
NOT_INK = {*GROUNDS, "hb-line"}
CONTRAST = 5.0
# Two just noticeable differences are about 4 of these; marks and words carry the rest.
DISTANCE = 6.0
KINDS = ("svc-", "st-")
SMALL = re.compile(r"font-size:\s*([\d.]+)(rem|px)")
LEAST = 14


def pale(tokens: dict[str, str]) -> list[str]:
    """What cannot be read well on a ground."""
    return [
        f"{name} on {ground}"
        for name, colour in tokens.items()
        for ground in GROUNDS
        if name not in NOT_INK and colours.contrast(colour, tokens[ground]) < CONTRAST
    ]


def confused(tokens: dict[str, str]) -> list[str]:
    """Services, or states, that some eyes cannot tell apart."""
    return [
        f"{one} and {other} ({eyes})"
        for kind in KINDS
        for one, other in combinations([name for name in tokens if name.startswith(kind)], 2)
        for eyes in colours.SEEN_BY
        if colours.distance(tokens[one], tokens[other], eyes) < DISTANCE
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_colour_is_legible_when_it_stands_on_either_ground(scheme: str) -> None:
    """Contrast of at least 5 on the page and on code."""
    tokens = colours.read(TOKENS, scheme)
    assert len(tokens) >= 16
    assert pale(tokens) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_services_and_states_differ_when_red_and_green_look_alike(scheme: str) -> None:
    """Also for protanopia and deuteranopia; every colour has a mark and a word besides."""
    assert confused(colours.read(TOKENS, scheme)) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_checks_are_red_when_a_colour_is_paled_or_doubled(scheme: str) -> None:
    """The twin of the two above."""
    tokens = colours.read(TOKENS, scheme)
    assert pale({**tokens, "muted": "#8a94a2"}) != []
    assert confused({**tokens, "svc-board": tokens["svc-course"]}) != []


def test_contrast_and_simulation_agree_with_known_values() -> None:
    """Black on white is 21; grey stays grey for everybody; red and green come near each other."""
    assert round(colours.contrast("#000000", "#ffffff"), 2) == 21.0
    assert colours.distance("#777777", "#777777", "protanopia") == 0
    seen = [colours.distance("#b02a2a", "#5a7a10", eyes) for eyes in colours.SEEN_BY]
    assert seen[0] > 2 * seen[2]


def test_paper_is_light_when_the_screen_is_dark() -> None:
    """The print sheet repeats the light scheme's colours, but for grounds and lines."""
    light = colours.read(TOKENS, "default")
    printed = {found["name"]: found["value"] for found in colours.TOKEN.finditer(PRINT.read_text())}
    assert printed.keys() == light.keys()
    kept = light.keys() - {"ground-code", "hb-line"}
    assert {name: printed[name] for name in kept} == {name: light[name] for name in kept}


def test_nothing_is_set_smaller_than_fourteen_pixels() -> None:
    """Of every size that the style sheet gives in absolute measure; one rem is 20 px."""
    sizes = [
        float(number) * (20 if unit == "rem" else 1)
        for sheet in (THEME / "styles").glob("*.css")
        if sheet != PRINT
        for number, unit in SMALL.findall(sheet.read_text("utf-8"))
    ]
    assert len(sizes) > 30
    assert min(sizes) >= LEAST


def test_sheet_is_the_partials_in_name_order_without_comments() -> None:
    """One style sheet of ours, addressed by what it holds."""
    sheet = styles.join(THEME)
    assert "/*" not in sheet
    assert sheet.index("--svc-course:") < sheet.index(".cell-output") < sheet.index("@page")
    assert styles.versioned("a.css", "x") == styles.versioned("a.css", "x")
    assert styles.versioned("a.css", "x") != styles.versioned("a.css", "y")
