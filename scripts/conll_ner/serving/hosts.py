"""The host names that requests may be for, against DNS rebinding: a web page whose name leads to
this machine must not reach the service from the user's browser."""

import re
from collections.abc import Sequence
from ipaddress import ip_address

from conll_ner.common.console import InputError

LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")


def list_allowed_hosts(bound: str, allowed: Sequence[str]) -> list[str]:
    """List the values of the Host header that the service accepts.

    bound (str): The option `--host`.
    allowed (Sequence[str]): The option `--allow-host`.
    RETURNS (list[str]): Patterns for Starlette's TrustedHostMiddleware. Any host if the service
        listens on all interfaces and no host is allowed by name.
    RAISES (InputError): If a value isn't a host.
    """
    if not allowed and bound in ("0.0.0.0", "::"):
        return ["*"]
    return [*LOCAL_HOSTS, format_host(bound), *map(to_pattern, allowed)]


def to_pattern(name: str) -> str:
    """RAISES (InputError): If the value isn't a host."""
    host = format_host(name)
    if name != "*" and not re.fullmatch(r"(\*\.)?[A-Za-z0-9_.-]+|\[[0-9a-f:.]+\]", host):
        raise InputError(
            f"--allow-host {name} is not a host: pass a name or an address without scheme and "
            "port, *.DOMAIN for its subdomains, or * for any"
        )
    return host


def format_host(name: str) -> str:
    """RETURNS (str): A name or an address as in the Host header: IPv6 in brackets."""
    try:
        address = ip_address(name.strip("[]"))
    except ValueError:
        return name
    return f"[{address}]" if address.version == 6 else str(address)
