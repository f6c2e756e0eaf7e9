"""Tests of file permissions for the superuser too: without the capabilities that make him ignore them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
_VERSION_3 = 0x20080522
_PR_CAPBSET_DROP = 24
_PR_GET_SECUREBITS = 27
_PR_SET_SECUREBITS = 28
_NO_SETUID_FIXUP = 4  # without it access() asks what root may have, not what he has


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@contextmanager
def permissions_hold() -> Iterator[None]:
    """Inside, files that nobody may read cannot be read by this thread, whoever it belongs to."""
    header, sets = _Header(_VERSION_3, 0), (_Sets * 2)()
    _call("capget", ctypes.byref(header), sets)
    before = sets[0].effective
    sets[0].effective = before & ~(1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH)
    bits = _call("prctl", _PR_GET_SECUREBITS, 0, 0, 0, 0)
    if os.geteuid() == 0:
        _call("prctl", _PR_SET_SECUREBITS, bits | _NO_SETUID_FIXUP, 0, 0, 0)
    _call("capset", ctypes.byref(header), sets)
    try:
        yield
    finally:
        sets[0].effective = before
        _call("capset", ctypes.byref(header), sets)
        if os.geteuid() == 0:
            _call("prctl", _PR_SET_SECUREBITS, bits, 0, 0, 0)


def let_permissions_hold() -> None:
    """For a child between fork and exec: permissions hold in whatever it executes."""
    if os.geteuid() == 0:
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            _call("prctl", _PR_CAPBSET_DROP, capability, 0, 0, 0)


def _call(name: str, *arguments: object) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    result: int = getattr(library, name)(*arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result
