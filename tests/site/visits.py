"""A reader's window in a real Chromium, and what went on in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Page

WIDTHS = (390, 1280)
SCHEMES = ("light", "dark")

# The drawer of the navigation takes a moment to leave when a phone becomes a desk.
FITS = """async () => {
  const end = performance.now() + 2000;
  const root = document.documentElement;
  while (root.scrollWidth > innerWidth && performance.now() < end)
    await new Promise(requestAnimationFrame);
  return root.scrollWidth <= innerWidth;
}"""
# Noted before the page's own scripts begin.
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  violations.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
"""
TO_THE_END = "window.scrollTo(0, document.body.scrollHeight)"
SMALL = """
() => [...document.querySelectorAll("body *")].filter((node) =>
  node.checkVisibility()
  && [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim())
  && parseFloat(getComputedStyle(node).fontSize) > 0
  && parseFloat(getComputedStyle(node).fontSize) < 13.95
).map((node) => node.outerHTML.slice(0, 90))
"""
SLANTED = """
() => [...document.querySelectorAll("body *")].filter((node) =>
  getComputedStyle(node).fontStyle === "italic" && /[가-힣]/.test(node.textContent)
).map((node) => node.outerHTML.slice(0, 90))
"""


@dataclass
class Visit:
    """One page in the browser, and what went on meanwhile."""

    page: Page
    origin: str
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def foreign(self) -> list[str]:
        """Requests that left the site."""
        local = (self.origin, "data:", "blob:")
        return [address for address in self.requests if not address.startswith(local)]

    def wear(self, scheme: str) -> None:
        """Press the switch between light and dark, unless it is so already."""
        name = "slate" if scheme == "dark" else "default"
        if self.page.locator("body").get_attribute("data-md-color-scheme") != name:
            self.page.locator("[data-md-component=palette] label:visible").click()
        self.page.locator(f"body[data-md-color-scheme={name}]").wait_for()

    def resize(self, width: int, height: int = 900) -> None:
        """Turn the phone, or drag the window's edge."""
        self.page.set_viewport_size({"width": width, "height": height})

    def open(self, path: str) -> None:
        """Go there and wait until nothing is loading."""
        self.page.goto(self.origin + path, wait_until="networkidle")


def visit(
    browser: Browser,
    origin: str,
    *,
    width: int = 1280,
    height: int = 900,
    scheme: str = "light",
    bypass_csp: bool = False,
) -> Visit:
    """A fresh window. `bypass_csp` lets a test do what the pages forbid."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        locale="ko-KR",
        bypass_csp=bypass_csp,
    )
    seen = Visit(context.new_page(), origin)
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on(
        "console",
        lambda message: seen.errors.append(message.text) if message.type == "error" else None,
    )
    seen.page.set_default_timeout(15_000)
    return seen


def addresses(folder: Path) -> list[str]:
    """Every page of the site, as a reader addresses it."""
    pages = (path.relative_to(folder).as_posix() for path in folder.rglob("index.html"))
    return sorted(page.removesuffix("index.html") for page in pages)
