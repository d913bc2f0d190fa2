"""The pictures of docs/images: a first night as its terminal shows it in the middle, and its report in the morning.

    python -m scripts.screenshots [FOLDER]

A workspace is made, English text prepared, and a night run on a terminal of its own: what is photographed is what was
there. Takes ten minutes, Chromium (`python -m tests.browser.needs` gets one) and npm.
"""

import html
import platform
import re
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import pyte
from playwright.sync_api import Browser, sync_playwright
from pyte.screens import Char

from tests.agent.terminal import Terminal, terminal
from tests.browser import needs

IMAGES = Path(__file__).parents[1] / "docs" / "images"
IDEA = ("A slower embedding", "--text", "0.05 is high for so few steps.", "--set", "TIED_EMBED_LR=0.04")
NIGHT = ("run", "--short", "--name", "first", "--max-experiments", "6")
"""As docs/tutorial.md has both."""
COLUMNS, LINES = 100, 34
MIDDLE = re.compile(r"first-000[5-7].*at step 1\d: [^\n]*champion", re.DOTALL)
"""The moment for the terminal: some verdicts, and a curve beside the champion's."""
LONGEST_S = 1800.0
COLOURS = {
    "default": "#d8dee4",
    "black": "#5c6773",
    "red": "#ff7b72",
    "green": "#7ee787",
    "brown": "#e3b341",
    "blue": "#79c0ff",
    "magenta": "#d2a8ff",
    "cyan": "#76e3ea",
    "white": "#f0f6fc",
}
PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: #0f1419 }}
span {{ display: inline-block; width: 1ch; white-space: pre }}
pre {{ margin: 0; padding: 16px 20px; display: inline-block; font: 14px/1.32 "DejaVu Sans Mono", monospace }}
</style><pre>{}</pre>"""


def main(folder: Path = IMAGES) -> None:
    """Run the night, and write `terminal.png`, `report.png` and `experiment.png` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=needs.chromium(), args=["--no-sandbox"])
        root = Path(scratch) / "research"
        nightshift(Path(scratch), "init", str(root))
        nightshift(root, "data", "prepare")
        nightshift(root, "idea", "add", *IDEA)
        nightshift(root, "idea", "priority", "a-slower-embedding", "1")
        with terminal(root, *NIGHT, columns=COLUMNS, lines=LINES) as shown:
            seen(shown, MIDDLE)
            picture = PAGE.format(as_html(shown))
            print(shown.text)
            seen(shown, re.compile("the night ended"))
        nightshift(root, "audit")
        nightshift(root, "report")
        (report,) = (root / ".git" / "nightshift" / "first").glob("report.html")
        photograph_terminal(browser, picture, folder / "terminal.png")
        photograph_report(browser, report, folder)
        browser.close()
    print(f"{platform.platform()}, Python {platform.python_version()}, MLX {version('mlx')}")
    for path in sorted(folder.glob("*.png")):
        print(f"{path.name}: {path.stat().st_size:,} bytes")


def nightshift(folder: Path, *words: str) -> None:
    """Run one of our commands."""
    subprocess.run([sys.executable, "-m", "agent.cli", *words], cwd=folder, check=True)


def seen(shown: Terminal, moment: re.Pattern[str]) -> None:
    """Wait for it to be on the screen. Raises TimeoutError, and ValueError where the night ended before."""
    until = time.monotonic() + LONGEST_S
    while not moment.search(shown.text):
        if shown.process.poll() is not None:
            raise ValueError(f"the night ended, and never was there {moment.pattern!r}:\n{shown.text}")
        if time.monotonic() > until:
            raise TimeoutError(f"there was no {moment.pattern!r} in {LONGEST_S:.0f} s:\n{shown.text}")
        time.sleep(0.1)


def as_html(shown: Terminal) -> str:
    """What stands on a screen, in its colours."""
    with shown.lock:
        return "\n".join(_line(shown.screen, row) for row in range(shown.screen.lines)).rstrip()


def _line(screen: pyte.Screen, row: int) -> str:
    return "".join(_span(screen.buffer[row][column]) for column in range(screen.columns)).rstrip()


def _span(one: Char) -> str:
    name = one.fg.removeprefix("bright")
    colour = COLOURS.get(name, f"#{one.fg}" if re.fullmatch("[0-9a-f]{6}", one.fg) else COLOURS["default"])
    style = f"color:{colour};" + ("font-weight:bold" if one.bold else "")
    return f'<span style="{style}">{html.escape(one.data)}</span>'


def photograph_terminal(browser: Browser, picture: str, path: Path) -> None:
    """Write a picture of the screen."""
    page = browser.new_page(device_scale_factor=1.5)
    page.set_content(picture)
    page.locator("pre").screenshot(path=path)


def photograph_report(browser: Browser, report: Path, folder: Path) -> None:
    """Write pictures of the report's beginning, and of one experiment in it."""
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto(report.as_uri())
    page.wait_for_selector("#report:not([aria-busy])")
    page.screenshot(path=folder / "report.png")
    row = page.locator(".opener").nth(1)
    row.click()
    page.evaluate("for (const place of document.querySelectorAll('.plot')) place.draw()")
    row.evaluate("row => scrollTo(0, scrollY + row.getBoundingClientRect().top - 130)")
    page.screenshot(path=folder / "experiment.png")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
