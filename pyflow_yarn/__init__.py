"""Stream processing with Python functions: PyFlink's API, a client, and a command line."""

from __future__ import annotations

from pyflow_yarn.version import VERSION as __version__

__all__ = ["__version__"]
