"""Runs another program in this process's place that dies with the parent: ``<parent pid> <program> <argument>...``.

For programs of others, which do not ask the kernel for that themselves; the request outlives the change of program.
"""

from __future__ import annotations

import os
import sys

from pyflow_runtime.processes.control import die_with_parent


def main() -> None:
    """The program."""
    parent, *command = sys.argv[1:]
    die_with_parent(int(parent))
    os.execvp(command[0], command)
