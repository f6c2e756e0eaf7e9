"""Kerberos on the client, by the system's library: hdfs-native loads the same one and finds the same tickets."""

from __future__ import annotations

import base64
import ctypes
import os
import urllib.parse
import urllib.request
from contextlib import ExitStack
from email.message import Message
from typing import IO, Any

from pyflow_yarn.errors import ConfigurationError

LIBRARY = "libgssapi_krb5.so.2"
_FAILED = 0xFFFF0000
_INITIATE = 1
_OF_MECHANISM = 2


class NegotiationHandler(urllib.request.BaseHandler):
    """Repeats a request with a ticket where a server wants one: RFC 4559."""

    def http_error_401(
        self, request: urllib.request.Request, answer: IO[bytes], code: int, message: str, headers: Message
    ) -> Any:
        """The answer to the second request; None if the server wants something else, or has had a ticket already."""
        offered = [each.strip().lower() for each in headers.get_all("WWW-Authenticate", [])]
        if request.has_header("Authorization") or "negotiate" not in offered:
            return None
        answer.close()
        token = base64.b64encode(ticket(f"HTTP@{urllib.parse.urlsplit(request.full_url).hostname}")).decode()
        request.add_unredirected_header("Authorization", f"Negotiate {token}")
        return self.parent.open(request, timeout=request.timeout)


def log_in(principal: str, keytab: str) -> None:
    """From now on this process is that principal, and its children are the keytab's first."""
    if not os.path.isfile(keytab):
        raise ConfigurationError(f"There is no keytab {keytab}: correct its path.")
    os.environ["KRB5_CLIENT_KTNAME"] = keytab
    # What the login leaves there is found by hdfs-native and by tickets for HTTP, and renewed from the keytab.
    os.environ["KRB5CCNAME"] = "MEMORY:pyflow"
    with _Gss(f"The keytab {keytab} does not make anybody {principal}", "correct keytab or principal") as gss:
        gss.credential(gss.name(principal, _PRINCIPAL))


def logged_in() -> str:
    """The principal of the ticket cache, or of the keytab where nobody has run kinit."""
    with _Gss("There is no Kerberos ticket", "run kinit, or set security.kerberos.login.keytab and principal") as gss:
        return gss.principal(gss.credential(None))


def ticket(service: str) -> bytes:
    """What shows a service, as ``HTTP@host``, who the user is."""
    with _Gss(f"{service} wants Kerberos", "run kinit") as gss:
        return gss.token(gss.credential(None), gss.name(service, _HOSTBASED_SERVICE))


class _Oid(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint32), ("elements", ctypes.c_char_p))

    def __init__(self, text: str) -> None:
        encoded = bytes.fromhex(text)
        super().__init__(len(encoded), encoded)


class _OidSet(ctypes.Structure):
    _fields_ = (("count", ctypes.c_size_t), ("elements", ctypes.POINTER(_Oid)))


class _Buffer(ctypes.Structure):
    _fields_ = (("length", ctypes.c_size_t), ("value", ctypes.c_void_p))

    def content(self) -> bytes:
        return ctypes.string_at(self.value, self.length) if self.value else b""


_KERBEROS = _Oid("2a864886f712010202")
_SPNEGO = _Oid("2b0601050502")
_HOSTBASED_SERVICE = _Oid("2a864886f71201020104")
_PRINCIPAL = _Oid("2a864886f71201020201")


class _Gss(ExitStack):
    """The library's calls (RFC 2744); what they made is released at the end."""

    def __init__(self, problem: str, cure: str) -> None:
        super().__init__()
        self._problem, self._cure = problem, cure
        try:
            self._library = ctypes.CDLL(LIBRARY)
        except OSError:
            raise ConfigurationError(
                f"{problem}, and the library {LIBRARY} is not found: install it (Debian, Ubuntu: libgssapi-krb5-2;"
                " Red Hat: krb5-libs)."
            ) from None

    def name(self, text: str, kind: _Oid) -> ctypes.c_void_p:
        name, content = self._handle("gss_release_name"), text.encode()
        buffer = _Buffer(len(content), ctypes.cast(ctypes.c_char_p(content), ctypes.c_void_p))
        self._call("gss_import_name", ctypes.byref(buffer), ctypes.byref(kind), ctypes.byref(name))
        return name

    def credential(self, name: ctypes.c_void_p | None) -> ctypes.c_void_p:
        found, wanted = self._handle("gss_release_cred"), _OidSet(1, ctypes.pointer(_KERBEROS))
        self._call("gss_acquire_cred", name, 0, ctypes.byref(wanted), _INITIATE, ctypes.byref(found), None, None)
        return found

    def principal(self, credential: ctypes.c_void_p) -> str:
        name, text = self._handle("gss_release_name"), self._buffer()
        self._call("gss_inquire_cred", credential, ctypes.byref(name), None, None, None)
        self._call("gss_display_name", name, ctypes.byref(text), None)
        return text.content().decode()

    def token(self, credential: ctypes.c_void_p, target: ctypes.c_void_p) -> bytes:
        context, token = self._handle("gss_delete_sec_context", None), self._buffer()
        request = (target, ctypes.byref(_SPNEGO), 0, 0, None, None, None, ctypes.byref(token), None, None)
        self._call("gss_init_sec_context", credential, ctypes.byref(context), *request)
        return token.content()

    def _handle(self, release: str, *arguments: None) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        self.callback(self._library[release], ctypes.byref(ctypes.c_uint32()), ctypes.byref(handle), *arguments)
        return handle

    def _buffer(self) -> _Buffer:
        buffer = _Buffer()
        self.callback(self._library.gss_release_buffer, ctypes.byref(ctypes.c_uint32()), ctypes.byref(buffer))
        return buffer

    def _call(self, function: str, *arguments: object) -> None:
        minor = ctypes.c_uint32()
        if self._library[function](ctypes.byref(minor), *arguments) & _FAILED:
            raise ConfigurationError(f"{self._problem}: {self._reason(minor)}: {self._cure}.")

    def _reason(self, code: ctypes.c_uint32) -> str:
        text, minor, more = self._buffer(), ctypes.c_uint32(), ctypes.c_uint32()
        status = (code, _OF_MECHANISM, ctypes.byref(_KERBEROS), ctypes.byref(more), ctypes.byref(text))
        self._library.gss_display_status(ctypes.byref(minor), *status)
        return text.content().decode(errors="replace").rstrip("\0. ")
