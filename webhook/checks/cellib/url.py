"""url, isURL and the parts of a URL, as Go's net/url reads them.

Source: k8s.io/apiserver/pkg/cel/library/urls.go, and net/url of Go for what is valid there
(ParseRequestURI): an absolute URI or an absolute path. Python's own parser accepts other things.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from webhook.checks.cellib import ip
from webhook.checks.cellib.function import Function
from webhook.checks.cellib.opaque import unwrap, wrap
from webhook.model.record import record

KIND = "url"
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
PORT = re.compile(r"(?::[0-9]*)?")
ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}")
USERINFO = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")
HOST = UNRESERVED | frozenset(b"!$&'()*+,;=:[]<>\"")
PATH = UNRESERVED | frozenset(b"$&+,/:;=@")
# What Go leaves alone in a path that the author wrote escaped.
PATH_AS_WRITTEN = PATH | frozenset(b"!'()*[]%")


@record(frozen=True, slots=True)
class Url:
    """The parts of a URL; `path` is unescaped bytes, `raw` the path as written."""

    scheme: str
    host: str
    path: bytes
    raw: str
    query: str


def _parse(text: str) -> Url:
    """Return the parts of an absolute URI or path; ValueError with the reason otherwise."""
    # Once with the fragment as part of the rest, as ParseRequestURI does, then without it.
    _parts(text, True)
    whole, _, fragment = text.partition("#")
    _unescape(fragment)
    return _parts(whole, False)


def _parts(text: str, request: bool) -> Url:
    if CONTROL.search(text):
        raise ValueError("invalid control character in URL")
    if not text and request:
        raise ValueError("empty url")
    if text == "*":
        return Url("", "", b"*", "*", "")
    scheme, rest = _scheme(text)
    rest, _, query = rest.partition("?")
    if not rest.startswith("/"):
        if scheme:
            return Url(scheme, "", b"", "", query)
        if request:
            raise ValueError("invalid URI for request: an absolute URI or an absolute path is wanted")
        if ":" in rest.partition("/")[0]:
            raise ValueError("first path segment in URL cannot contain colon")
    host = ""
    if rest.startswith("//") and (scheme or (not request and not rest.startswith("///"))):
        authority, slash, rest = rest[2:].partition("/")
        rest = slash + rest
        host = _authority(scheme, authority)
    return Url(scheme, host, _unescape(rest), rest, query)


def _scheme(text: str) -> tuple[str, str]:
    if text.startswith(":"):
        raise ValueError("missing protocol scheme")
    found = SCHEME.match(text)
    if not found:
        return "", text
    return found.group()[:-1].lower(), text[found.end() :]


def _authority(scheme: str, authority: str) -> str:
    user, at, host = authority.rpartition("@")
    if at:
        if not USERINFO.fullmatch(user):
            raise ValueError("invalid userinfo")
        _unescape(user)
    return _bracketed(host) if "[" in host else _plain(scheme, host)


def _bracketed(host: str) -> str:
    if host.rfind("[") > 0:
        raise ValueError("invalid IP-literal")
    name, bracket, port = host[1:].rpartition("]")
    if not bracket:
        raise ValueError("missing ']' in host")
    if not PORT.fullmatch(port):
        raise ValueError(f"invalid port {port!r} after host")
    address, percent, zone = name.partition("%25")
    if percent:
        zone = "%" + _unescape(zone).decode(errors="replace")
    _literal(_host(address) + zone)
    return f"[{_host(address)}{zone}]{port}"


def _literal(address: str) -> None:
    """Raise ValueError where the text between brackets is no IPv6 address (a zone is allowed)."""
    bare, percent, zone = address.partition("%")
    mapped = bare.lower().startswith("::ffff:")
    if ":" not in bare or (percent and not zone) or not (mapped or _is_ip(bare)):
        raise ValueError("invalid IP-literal")


def _is_ip(text: str) -> bool:
    try:
        ip.parse(text)
    except ValueError:
        return False
    return True


def _plain(scheme: str, host: str) -> str:
    first, last = host.find(":"), host.rfind(":")
    if first >= 0:
        port = host[first if scheme in ("http", "https") else last :]
        if not PORT.fullmatch(port):
            raise ValueError(f"invalid port {port!r} after host")
    return _host(host)


def _host(text: str) -> str:
    data = text.encode()
    for escape in ESCAPE.findall(data):
        if int(escape[1:], 16) < 0x80 and escape != b"%25":
            raise ValueError(f"invalid URL escape {escape.decode()!r}")
    for byte in ESCAPE.sub(b"", data):
        if byte < 0x80 and byte not in HOST:
            raise ValueError(f"invalid character {chr(byte)!r} in host name")
    return _unescape(text).decode(errors="replace")


def _unescape(text: str) -> bytes:
    data = text.encode()
    if b"%" in ESCAPE.sub(b"", data):
        raise ValueError("invalid URL escape: % and two hexadecimal digits are wanted")
    return ESCAPE.sub(lambda match: bytes([int(match.group()[1:], 16)]), data)


def _escaped_path(url: Url) -> str:
    if all(byte in PATH_AS_WRITTEN for byte in url.raw.encode()):
        return url.raw
    return "".join(chr(byte) if byte in PATH else f"%{byte:02X}" for byte in url.path)


def _query(url: Url) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pair in url.query.split("&"):
        if not pair or ";" in pair:
            continue
        key, _, value = pair.replace("+", " ").partition("=")
        try:
            plain = _unescape(key).decode(errors="replace"), _unescape(value).decode(errors="replace")
        except ValueError:
            continue
        found.setdefault(plain[0], []).append(plain[1])
    return found


def _split(host: str) -> tuple[str, str]:
    name, colon, port = host.rpartition(":")
    if not colon or not PORT.fullmatch(colon + port):
        name, port = host, ""
    return (name[1:-1] if name.startswith("[") and name.endswith("]") else name), port


def _read(value: Mapping[Any, Any]) -> Url:
    return _parse(unwrap(KIND, value))


def _url(text: str) -> dict[int, str]:
    scheme = _parse(text).scheme
    return wrap(KIND, scheme + text[len(scheme) :])


def is_url(text: str) -> bool:
    """Return whether the text is an absolute URI or an absolute path."""
    try:
        _parts(text, True)
    except ValueError:
        return False
    return True


FUNCTIONS = (
    Function("url", ("STRING",), False, "MAP", _url),
    Function("isURL", ("STRING",), False, "BOOL", is_url),
    Function("getScheme", ("MAP",), True, "STRING", lambda value: _read(value).scheme),
    Function("getHost", ("MAP",), True, "STRING", lambda value: _read(value).host),
    Function("getHostname", ("MAP",), True, "STRING", lambda value: _split(_read(value).host)[0]),
    Function("getPort", ("MAP",), True, "STRING", lambda value: _split(_read(value).host)[1]),
    Function("getEscapedPath", ("MAP",), True, "STRING", lambda value: _escaped_path(_read(value))),
    Function("getQuery", ("MAP",), True, "MAP", lambda value: _query(_read(value))),
)
