"""URLs as the harness compares and shows them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import urlsplit, urlunsplit

Origin: TypeAlias = tuple[str, str, int]
"""Scheme, host and port: another port is another origin."""

NO_ORIGIN: Origin = ("", "", 0)
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")


@lru_cache(maxsize=4096)
def origin(url: str) -> Origin:
    """The origin of an absolute http(s) URL; ``NO_ORIGIN`` for anything else."""
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
        port = _PORTS.get(scheme, 0) if parts.port is None else parts.port
    except ValueError:
        return NO_ORIGIN
    return (scheme, host, port) if scheme in _PORTS and host else NO_ORIGIN


def fault_of(url: str) -> str | None:
    """Why a text cannot be the base of other URLs; None when it can."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "it cannot be read as a URL"
    if parts.scheme not in _PORTS:
        return "it has to begin with http:// or https://"
    if "@" in parts.netloc:
        return "a user name or key has no place in it"
    if parts.query or parts.fragment or "?" in url or "#" in url:
        return "a base URL has no query and no fragment"
    host = parts.hostname or ""
    if port == 0 or not (_HOST.fullmatch(host) or ":" in host):
        return "its host or port cannot be used; write an international name in its ASCII form"
    return None


def show_origin(url: str) -> str:
    """The origin of a URL as text, the default port left out."""
    scheme, host, port = origin(url)
    if not host:
        return ""
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}" if port == _PORTS[scheme] else f"{scheme}://{name}:{port}"


def without_query(url: str) -> str:
    """A URL without query and fragment: signatures live there, and reports do not show them."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition("?")[0]
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
