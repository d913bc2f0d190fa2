"""A file that grows, of which each time only what came since is read."""

from pathlib import Path


class Tail:
    """The whole lines of the file at `path`, as they come; what does not end in a line break yet is left for later."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.inode = self.size = self.taken = self.lines = 0

    def more(self) -> tuple[int, list[bytes]]:
        """How many lines came before, none where this is another file than last time, and those that came since."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self.inode = self.size = self.taken = self.lines = 0
            return 0, []
        if found.st_ino != self.inode or found.st_size < self.taken:
            self.inode, self.size, self.taken, self.lines = found.st_ino, 0, 0, 0
        before = self.lines
        if found.st_size == self.size:
            return before, []
        self.size = found.st_size
        with self.path.open("rb") as file:
            file.seek(self.taken)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self.taken += len(whole)
        lines = whole.split(b"\n")[:-1]
        self.lines += len(lines)
        return before, lines
