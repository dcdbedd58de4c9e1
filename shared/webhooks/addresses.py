"""Addresses that webhooks may send to: the open internet by https, and nothing else.

A webhook's owner chooses its address, and the function that sends runs within the cloud.
So the name is looked up once, every address in the answer must be of the open internet, and the
connection goes to one of these addresses: a second look-up with another answer cannot get around
the check. Redirects are not followed. On one computer loopback is allowed as well, by http.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

import msgspec

LONGEST = 2_000

TRANSLATED = tuple(
    ipaddress.ip_network(each) for each in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16")
)
"""Networks whose addresses hold IPv4 ones (RFC 6052, 8215, 3056), and so any private one."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class RefusedAddress(ValueError):
    """A forbidden address; the message says why."""


class HookTarget(msgspec.Struct, frozen=True):
    """The parts of a webhook's address."""

    scheme: str
    host: str
    port: int
    path: str


def read(url: str, *, local: bool) -> HookTarget:
    """Return the parts of a webhook's address.

    Parameters
    ----------
    url : str
    local : bool
        Whether it is the system on one computer.

    Raises
    ------
    RefusedAddress
    """
    if len(url) > LONGEST or not url.isascii() or not url.isprintable() or " " in url:
        raise RefusedAddress("Write a web address of printable ASCII characters.")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise RefusedAddress("This is no web address.") from None
    if not host or parts.scheme not in ("https", "http"):
        raise RefusedAddress("Write an address that begins with https://.")
    if parts.username is not None or parts.password is not None:
        raise RefusedAddress("Write no user name or password into the address; the secret signs.")
    loopback = local and is_loopback(host)
    if parts.scheme != "https" and not loopback:
        raise RefusedAddress("Write an address that begins with https://.")
    if (literal := _literal(host)) is not None:
        check(literal, local=local)
    path = parts.path or "/"
    port = port or (443 if parts.scheme == "https" else 80)
    return HookTarget(parts.scheme, host, port, f"{path}?{parts.query}" if parts.query else path)


def is_loopback(host: str) -> bool:
    """Return whether a host name means this computer."""
    literal = _literal(host)
    return host == "localhost" or (literal is not None and literal.is_loopback)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def check(address: Address, *, local: bool) -> None:
    """Refuse an address outside the open internet.

    Raises
    ------
    RefusedAddress
    """
    plain = getattr(address, "ipv4_mapped", None) or address
    if local and plain.is_loopback:
        return
    translated = any(
        plain in network for network in TRANSLATED if network.version == plain.version
    )
    if not plain.is_global or plain.is_multicast or plain.is_reserved or translated:
        raise RefusedAddress(f"{address} is not of the open internet.")


def resolve(target: HookTarget, *, local: bool) -> str:
    """Return the address to connect to, after checking every address that the name has.

    Raises
    ------
    RefusedAddress
        An address is outside the open internet, or the name has none.
    """
    try:
        answers = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise RefusedAddress(f"{target.host} has no address.") from None
    addresses = [ipaddress.ip_address(address[4][0]) for address in answers]
    for address in addresses:
        check(address, local=local and is_loopback(target.host))
    if not addresses:
        raise RefusedAddress(f"{target.host} has no address.")
    return str(addresses[0])
