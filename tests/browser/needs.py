"""What the tests of the page need beside Python: a Chromium, and axe-core. Run as a program, it gets both."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from bench import files

AXE = "4.14.1"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APT = (
    ("apt-get", "update", "--quiet"),
    ("apt-get", "install", "--quiet", "--yes", "--no-install-recommends", "chromium"),
)


def chromium() -> str | None:
    """Where this machine's Chromium is."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def axe() -> Path:
    """Where axe-core is, once it was fetched."""
    return files.user_cache() / f"axe-core-{AXE}" / "package" / "axe.min.js"


def main() -> None:
    """Get what is missing, or say what to type."""
    if chromium() is None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            sys.exit("no Chromium here: type `sudo apt-get install chromium`, or install Chrome, then the same again")
        for command in APT:
            subprocess.run(
                command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            )
    if not axe().is_file():
        if shutil.which("npm") is None:
            sys.exit(
                "axe-core is fetched with npm, which is missing: type `sudo apt-get install npm`, then the same again"
            )
        folder = files.fresh_folder(axe().parents[1])
        subprocess.run(
            ["npm", "pack", "--silent", f"axe-core@{AXE}"], cwd=folder, check=True, stdout=subprocess.DEVNULL
        )
        with tarfile.open(folder / f"axe-core-{AXE}.tgz") as packed:
            packed.extractall(folder, filter="data")


if __name__ == "__main__":
    main()
