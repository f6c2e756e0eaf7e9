"""Checkpoints are not supported yet: importing a name from here says so."""

from __future__ import annotations

from pyflow_yarn.datastream.not_yet import names_not_yet

__getattr__ = names_not_yet(__name__, "Checkpoints ({}) are")
