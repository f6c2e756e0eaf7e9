"""Formats of files and messages: none is supported yet, files hold lines of text."""

from __future__ import annotations
