"""Where the harness may connect to on a provider's word.

Rules
-----
* An output's URL is a third party's text. It is followed over https only, and only to public addresses, unless the
  user named its origin (``--base-url``, ``origins``): naming is trust.
* The address is checked after resolution and the connection goes to the checked address, so that neither a spelling
  (``127.1``, ``0x7f.1``, ``::ffff:127.0.0.1``) nor a second answer of the name server leads elsewhere.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

ANY_FAMILY = socket.AF_UNSPEC
NoSuchName = socket.gaierror
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")
"""The IPv6 addresses that are given out; the rest is site-local, IPv4 in another dress, or nobody's."""


def is_public(address: str) -> bool:
    """Whether an address may be contacted on a provider's word."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            embedded = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if embedded is not None:
            return is_public(str(embedded))
        if ip not in _UNICAST:
            return False
    return ip.is_global and not ip.is_multicast


def is_address(host: str) -> bool:
    """Whether a host is an address in the ordinary spelling, which no resolver ever sees."""
    try:
        ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    return True


class GuardedResolver(AbstractResolver):
    """Resolves a name and refuses it when any of its addresses is not public."""

    def __init__(self, inner: AbstractResolver | None = None) -> None:
        self._inner = inner or ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        """The addresses of a host.

        Raises:
            PermissionError: an address is loopback, private, link-local, multicast or otherwise not public.
        """
        found = await self._inner.resolve(host, port, family)
        for address in found:
            if not is_public(address["host"]):
                raise PermissionError(f"{host} leads to {address['host']}, which is not a public address")
        return found

    async def close(self) -> None:
        """Nothing is held open."""
        await self._inner.close()
