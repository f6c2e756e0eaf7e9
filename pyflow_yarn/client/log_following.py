"""Log files that grow, as lines: each file's in order, none twice, and a traceback in one piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyflow_yarn.yarn.container_logs import ContainerLogs, LogFile

_TRACEBACK = b"Traceback (most recent call last):"
_LINKS = (
    b"The above exception was the direct cause of the following exception:",
    b"During handling of the above exception, another exception occurred:",
)
# What a file may keep back for a traceback that does not end.
_MOST_KEPT = 10_000


class WholeLines:
    """Makes lines of what is read of a file, and keeps a traceback back until all of it is there."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._part = b""

    def add(self, content: bytes) -> list[bytes]:
        """The lines that are complete now, with their ends."""
        *lines, self._part = (self._part + content).split(b"\n")
        self._lines += [line + b"\n" for line in lines]
        return self._taken(_complete(self._lines))

    def pause(self) -> list[bytes]:
        """Nothing came for a while: what was kept back as part of a traceback."""
        return self._taken(len(self._lines))

    def end(self) -> list[bytes]:
        """Nothing will come any more: all that is left."""
        rest = [self._part + b"\n"] if self._part else []
        self._part = b""
        return self.pause() + rest

    def _taken(self, count: int) -> list[bytes]:
        taken = self._lines[:count]
        del self._lines[:count]
        return taken


def _complete(lines: Sequence[bytes]) -> int:
    """How many of the lines come before a traceback that may go on; the line before it belongs to it."""
    start, ended = -1, True
    for place, line in enumerate(lines):
        text = line.rstrip()
        if _TRACEBACK in line or (start >= 0 and text in _LINKS):
            start, ended = (max(0, place - 1) if start < 0 else start), False
        elif start < 0 or not text or text[:1] in b" \t" or line[:1] in b" \t":
            continue
        elif ended:
            start = -1
        else:
            ended = True
    return len(lines) if start < 0 or len(lines) > _MOST_KEPT else start


class Follower:
    """Shows what is new in an application's log files, from wherever they are now."""

    def __init__(
        self, show: Callable[[str, list[bytes]], None], chosen: Callable[[ContainerLogs], list[LogFile]]
    ) -> None:
        """``show`` gets a name for the file, and whole lines."""
        self._show = show
        self._chosen = chosen
        self._lines: dict[tuple[str, str], WholeLines] = {}
        # How much was read of each file of a family: the one that is written, the one rotated last, and so on.
        self._read: dict[tuple[str, str], list[int]] = {}

    def look(self, logs: ContainerLogs) -> None:
        """Show what has come since the last look."""
        for family, files in self._families(logs).items():
            # Between a rotation and the first line of the new file it is not there; or YARN is deleting them all.
            if 0 in files:
                self._look_at(logs, family, files)

    def end(self, logs: ContainerLogs) -> None:
        """Show all that is left, of logs that nobody writes any more."""
        for family, files in self._families(logs).items():
            self._look_at(logs, family, files)
        self.close()

    def close(self) -> None:
        """Show what was kept back."""
        for family, lines in self._lines.items():
            self._show(_label(family), lines.end())

    def _families(self, logs: ContainerLogs) -> dict[tuple[str, str], dict[int, LogFile]]:
        found: dict[tuple[str, str], dict[int, LogFile]] = {}
        for file in self._chosen(logs):
            found.setdefault(file.family, {})[file.generation] = file
        return found

    def _look_at(self, logs: ContainerLogs, family: tuple[str, str], files: dict[int, LogFile]) -> None:
        lines = self._lines.setdefault(family, WholeLines())
        read = self._read.setdefault(family, [0])
        for _ in range(_rotations(read, files)):
            read.insert(0, 0)
        came = False
        for generation in sorted(files, reverse=True):
            read.extend([0] * (generation + 1 - len(read)))
            if files[generation].length > read[generation]:
                for piece in logs.read(files[generation], read[generation]):
                    came = True
                    read[generation] += len(piece)
                    self._show(_label(family), lines.add(piece))
            if files[generation].length > read[generation]:
                break  # what comes after it has to wait
        if not came:
            self._show(_label(family), lines.pause())


def _rotations(read: Sequence[int], files: dict[int, LogFile]) -> int:
    """How often the files were renamed since: there are more of them, or the newest is new."""
    more = max(files) + 1 - len(read)
    new = 0 not in files or files[0].length < read[0]
    return max(more, int(new and read[0] > 0)) if any(read) else 0


def _label(family: tuple[str, str]) -> str:
    container, name = family
    return f"{'_'.join(container.rsplit('_', 2)[1:])} {name}"
