"""A reader in a real Chromium: opens pages of the live server, runs cells, reads what comes."""

from __future__ import annotations

from playwright.sync_api import Browser, Locator, Page
from serving import Address

DONE = ".live-status[data-kind]:not([data-kind=''])"


class Reader:
    """One window with cookies of its own.

    Attributes:
        page: The window.
        errors: What its console complained about.
        requests: Every address it wanted.
        answers: Every address that was answered; what a policy stops gets no answer.
    """

    def __init__(self, browser: Browser, live: Address, *, width: int = 1280) -> None:
        self.live = live
        self.origin = f"http://{live.place.host}"
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, locale="ko-KR", reduced_motion="reduce"
        )
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.answers: list[str] = []
        self.page = self.window()

    def window(self) -> Page:
        """One more window of the same browser."""
        page = self.context.new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("response", lambda answer: self.answers.append(answer.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console",
            lambda message: self.errors.append(message.text) if message.type == "error" else None,
        )
        return page

    def greet(self) -> None:
        """Open the address that the terminal shows."""
        self.page.goto(self.live.url)

    def open(self, path: str) -> None:
        """A page of the site, ready to run."""
        self.page.goto(f"{self.origin}/{path}")
        self.page.locator("html[data-live=ready]").wait_for()

    def cell(self, name: str) -> Locator:
        """A cell on the page."""
        return self.page.locator(f"[data-cell='{name}']").first

    def press(self, name: str, label: str) -> None:
        """A button of a cell."""
        self.cell(name).get_by_role("button", name=label, exact=True).click()

    def run(self, name: str, label: str = "실행") -> str:
        """Run a cell; what its status says at the end."""
        self.press(name, label)
        status = self.cell(name).locator(DONE)
        status.wait_for()
        return status.inner_text()

    def output(self, name: str) -> str:
        """What a cell has put out since the page was opened."""
        return self.cell(name).locator(".live-output").inner_text().removeprefix("새 출력").strip()

    def write(self, name: str, code: str) -> None:
        """Put other code into a cell."""
        self.press(name, "고치기")
        self.cell(name).locator(".cm-content").wait_for()
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.insert_text(code)

    def leave(self) -> None:
        """Close every window."""
        self.context.close()
