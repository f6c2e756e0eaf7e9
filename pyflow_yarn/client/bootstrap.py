"""First file that another interpreter runs when it is to run a program: ``bootstrap.py FD VERSION ROOTS SITE_PACKAGES``.

It makes our packages importable there. Libraries that we need are taken from our own environment, but only after everything the
interpreter has itself, and only if it is of the same Python version. Imports nothing of ours before that is done.
"""

from __future__ import annotations

import os
import sys


def _prepare(version: str, roots: str, site_packages: str) -> str:
    """Complete the path; returns a sentence if that cannot work."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if sys.version_info < (3, 11):
        return f"The Python interpreter '{sys.executable}' is version {own}: programs need Python 3.11 or later."
    sys.path += [root for root in roots.split(os.pathsep) if root not in sys.path]
    if own == version:
        sys.path += [entry for entry in site_packages.split(os.pathsep) if entry not in sys.path]
    missing = []
    for name in ("msgspec", "cloudpickle"):
        try:
            __import__(name)
        except ImportError:
            missing.append(name)
    if missing:
        return (
            f"The Python interpreter '{sys.executable}' (version {own}) lacks {' and '.join(missing)}, and this"
            f" installation's own libraries are for version {version}: run '{sys.executable} -m pip install"
            f" {' '.join(missing)}', or choose another interpreter with -pyclientexec."
        )
    return ""


def main(arguments: list[str]) -> int:
    """Complete the path, read the specification and run the program."""
    descriptor, version, roots, site_packages = arguments
    with open(int(descriptor), "rb") as file:
        specification = file.read()
    complaint = _prepare(version, roots, site_packages)
    if complaint:
        sys.stderr.write(
            f"\n{'-' * 60}\n The program finished with the following exception:\n\n{complaint}\n"
        )
        return 31
    from pyflow_yarn.client.launch import resume

    return resume(specification)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
