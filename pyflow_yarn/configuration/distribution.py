"""Where the files that ship beside the packages are: in an installed wheel, or in a checkout."""

from __future__ import annotations

from pathlib import Path

from pyflow_yarn.errors import ConfigurationError

_PACKAGE = Path(__file__).resolve().parent.parent


def bin_directory() -> Path:
    """The folder of the shell commands."""
    return _shipped("bin")


def conf_directory() -> Path:
    """The folder of the configuration as shipped; ``FLINK_CONF_DIR`` is its caller's business."""
    return _shipped("conf")


def _shipped(name: str) -> Path:
    # A wheel maps the folder into the package. Checkouts and editable installs have it beside the package.
    for place in (_PACKAGE / "_dist" / name, _PACKAGE.parent / name):
        if place.is_dir():
            return place
    raise ConfigurationError(f"This installation is incomplete: it has no folder {name}; install pyflow-yarn again.")
