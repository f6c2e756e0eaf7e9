"""Formats of files and messages: a module for each."""

from __future__ import annotations
