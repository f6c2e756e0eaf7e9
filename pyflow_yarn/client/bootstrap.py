"""First file that another interpreter runs when it is to run a program: ``bootstrap.py FD VERSION ROOTS LIBRARIES``.

It makes our packages importable there. Libraries that we need are taken from our own environment, but only after
everything the interpreter has itself, and only if it is of the same Python version. Old interpreters read it as well.
"""

from __future__ import annotations

import os
import sys


def _prepare(version: str, roots: str, site_packages: str) -> str:
    """Complete the path; returns a sentence if that cannot work."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if sys.version_info < (3, 11):  # noqa: UP036
        return f"The Python interpreter '{sys.executable}' is version {own}: programs need Python 3.11 or later."
    libraries = site_packages.split(os.pathsep)
    # A checkout comes first, so that an older installation in the interpreter's own environment is not mixed with it.
    sys.path[:0] = [root for root in roots.split(os.pathsep) if root not in libraries]
    if own == version:
        sys.path += [entry for entry in site_packages.split(os.pathsep) if entry not in sys.path]
    missing = []
    for name in ("msgspec", "cloudpickle", "mmh3", "setproctitle"):
        try:
            __import__(name)
        except ImportError:
            missing.append(name)
    if missing:
        return (
            f"The Python interpreter '{sys.executable}' (version {own}) lacks {', '.join(missing)}, and this"
            f" installation's own libraries are for version {version}: install pyflow-yarn into its environment, or"
            " choose another interpreter with -pyclientexec."
        )
    return ""


def main(arguments: list[str]) -> int:
    """Complete the path, read the specification and run the program."""
    descriptor, version, roots, site_packages = arguments
    safe_path = getattr(sys.flags, "safe_path", False)
    beside = [] if safe_path else [sys.path.pop(0)]
    with open(int(descriptor), "rb") as file:
        specification = file.read()
    complaint = _prepare(version, roots, site_packages)
    if complaint:
        sys.stderr.write(f"\n{'-' * 60}\n The program finished with the following exception:\n\n{complaint}\n")
        return 31
    from pyflow_yarn.client.launch import resume

    sys.path[:0] = beside  # where python puts a script's directory: the program's own takes its place
    return resume(specification)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
