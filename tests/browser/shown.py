"""A page as a browser shows it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from agent.page import render
from tests.browser import needs


@dataclass
class Shown:
    """A page on screen, with all that it complained of and all that it asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))

    def serious(self) -> list[str]:
        """What axe-core finds that keeps people out."""
        self.page.evaluate(needs.axe().read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run()")["violations"]
        return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in ("serious", "critical")]

    def open(self, row: int) -> None:
        """Open the details of that row of the table."""
        self.page.locator(".opener").nth(row).click()

    def drawn(self) -> None:
        """Have every chart drawn, those out of sight too."""
        self.page.evaluate("for (const place of document.querySelectorAll('.plot')) place.draw()")


def written(folder: Path, morning: dict[str, Any]) -> Path:
    """The report of a night, in that folder."""
    path = folder / "report.html"
    path.write_text(render(morning), encoding="utf-8")
    return path
