"""What eyes make of colours: contrast, and distance for those who see red and green alike."""

from __future__ import annotations

import math
import re
from pathlib import Path

Colour = tuple[float, float, float]

TOKEN = re.compile(r"^\s*--(?P<name>[\w-]+):\s*(?P<value>#[0-9a-f]{6});", re.MULTILINE)
# Machado, Oliveira, Fernandes: A Physiologically-based Model for Simulation of Color Vision
# Deficiency (IEEE TVCG 2009), severity 1.0, on linear RGB.
SEEN_BY = {
    "everybody": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
}
# sRGB to OKLab by way of cones (Ottosson 2020).
CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
OKLAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)


def tokens(css: str, scheme: str) -> dict[str, str]:
    """The colours that a style sheet defines for one scheme."""
    block = css[css.index(f'[data-md-color-scheme="{scheme}"] {{') :]
    return {found["name"]: found["value"] for found in TOKEN.finditer(block[: block.index("}")])}


def read(path: Path, scheme: str) -> dict[str, str]:
    """The same, of a file."""
    return tokens(path.read_text("utf-8"), scheme)


def linear(colour: str) -> Colour:
    """Light, without the screen's curve."""
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return (_light(red), _light(green), _light(blue))


def _light(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """The quotient of WCAG 2."""
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def distance(one: str, other: str, eyes: str) -> float:
    """How far apart two colours look, in hundredths of OKLab."""
    first, second = (_oklab(_times(SEEN_BY[eyes], linear(colour))) for colour in (one, other))
    return 100 * math.dist(first, second)


def _oklab(light: Colour) -> Colour:
    red, green, blue = (math.cbrt(cone) for cone in _times(CONES, light))
    return _times(OKLAB, (red, green, blue))


def _times(matrix: tuple[Colour, Colour, Colour], colour: Colour) -> Colour:
    first, second, third = (sum(a * b for a, b in zip(row, colour, strict=True)) for row in matrix)
    return (first, second, third)
