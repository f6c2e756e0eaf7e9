"""The version of this distribution; ``setup.cfg`` reads it from here."""

from __future__ import annotations

VERSION = "0.1.0"
