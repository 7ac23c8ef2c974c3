"""Where the database of several hosts is, and how it is reached. No driver is loaded here.

Nothing that stands in a config or in the environment makes a connection to another machine less than fully verified:
`FleetSettings.conninfo` names every parameter on which that depends, which takes precedence over PGSSLMODE and others.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

SCHEMA_NAME = re.compile(r"^[a-z_][a-z0-9_]{0,62}\Z", re.ASCII)
SERVICE_NAME = re.compile(r"^[A-Za-z0-9._-]{1,64}\Z", re.ASCII)
URL_ACCEPTED = "postgresql://ROLE@HOST/DATABASE, or with ?host=/FOLDER a Unix socket"
SCHEMA_ACCEPTED = "1 to 63 characters of a-z 0-9 _ that begin with a letter or _"
MISSING = "a config with [store] url or service needs the driver of PostgreSQL: pip install 'nightdesk[fleet]'"

_PARAMETERS = frozenset(
    {"host", "port", "user", "dbname", "passfile", "sslcert", "sslkey", "sslcrl", "channel_binding", "require_auth"}
    | {"krbsrvname", "target_session_attrs", "connect_timeout", "load_balance_hosts"}
)
"""Parameters that a URL may hold behind its `?`."""
_ELSEWHERE = {
    "sslmode": "holds sslmode, which is always verify-full; leave it out",
    "sslrootcert": "holds sslrootcert, which is the key tls_root",
    "options": "holds options, which the program sets itself; leave them out",
    "service": "holds a service, which is the key service",
    "hostaddr": "holds hostaddr, past which no name is verified; leave it out",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSettings:
    """The store of several hosts: one schema of one PostgreSQL database."""

    url: str
    """A URL that `check_url` accepts, or `service=NAME` for an entry of the service file of libpq."""
    schema: str = "nightdesk"
    pooled: bool = False
    """True behind a pooler that gives each transaction another session."""
    host: str
    """What this machine is called on screens and in the log."""
    tls_root: str | None = None
    """A file of certificate authorities, or `system`; None means the file that libpq looks for."""

    @property
    def conninfo(self) -> str:
        """What libpq reads, with all parameters on which the safety of the line depends."""
        line = self._line()
        if self.url.startswith("service="):
            return " ".join((self.url, *(f"{name}='{_escaped(value)}'" for name, value in line.items())))
        return f"{self.url}{'&' if '?' in self.url else '?'}{urlencode(line)}"

    @property
    def place(self) -> str:
        """The server for the eyes of a person: its hosts, or the name of its service."""
        if self.url.startswith("service="):
            return f"service {self.url.removeprefix('service=')}"
        return ",".join(hosts_of(self.url)) or "the local socket"

    def _line(self) -> Mapping[str, str]:
        hosts = () if self.url.startswith("service=") else hosts_of(self.url)
        is_local = bool(hosts) and all(_is_local(host) for host in hosts)
        # The address keeps PGHOSTADDR from leading elsewhere.
        address = {"hostaddr": ",".join(hosts)} if is_local and not _is_socket(hosts[0]) else {}
        if is_local and self.tls_root is None:
            # A server of this machine may have no certificate.
            return {"sslmode": "prefer", **address}
        root = {} if self.tls_root is None else {"sslrootcert": self.tls_root}
        # Encryption of Kerberos would take the place of TLS and of the certificate that is verified.
        return {"sslmode": "verify-full", "gssencmode": "disable", **address, **root}


def check_url(url: str) -> str:
    """Return `url`. Raises ValueError with a complaint to follow the name of the key; no password is quoted."""
    scheme, colon, _ = url.partition("://")
    if not colon or scheme not in ("postgresql", "postgres"):
        raise ValueError("is not the URL of a PostgreSQL database")
    if any(not "!" <= character <= "~" for character in url):
        raise ValueError("has blanks, or characters that a URL writes as %XX")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("is not the URL of a PostgreSQL database") from None
    named = dict(parse_qsl(parts.query, keep_blank_values=True))
    user = parts.netloc.rpartition("@")[0]
    if ":" in user or "password" in named:
        raise ValueError("holds a password; it belongs into the password file")
    if parts.fragment:
        raise ValueError("holds a fragment")
    for name in named:
        if name not in _PARAMETERS:
            raise ValueError(_ELSEWHERE.get(name, f"holds {name[:40]}, which is not one of the parameters used here"))
    for name in (
        *parts.netloc.rpartition("@")[2].split(","),
        *(f":{port}" for port in named.get("port", "").split(",")),
    ):
        port = re.search(r":([^:\]]*)\Z", name)
        if port is not None and port[1] and not (port[1].isdecimal() and 0 < int(port[1][:6]) < 65_536):
            raise ValueError("holds a port that is none")
    hosts = hosts_of(url)
    if any(_is_socket(host) for host in hosts) and len(hosts) > 1:
        raise ValueError("names a Unix socket among several hosts")
    return url


def hosts_of(url: str) -> tuple[str, ...]:
    """Return the hosts that a URL names, as libpq reads them; none for the default socket of the system."""
    parts = urlsplit(url)
    found = dict(parse_qsl(parts.query, keep_blank_values=True)).get("host")
    if found is None:
        names = parts.netloc.rpartition("@")[2]
        # An address of IPv6 stands in brackets, and a port behind the last colon.
        found = ",".join(re.sub(r":\d*\Z", "", unquote(name)).strip("[]") for name in names.split(","))
    return tuple(name for name in found.split(",") if name)


def missing_driver() -> str | None:
    """Say, in one line, what to install where the driver of PostgreSQL is missing; None where it is there."""
    return MISSING if importlib.util.find_spec("psycopg") is None else None


def _is_local(host: str) -> bool:
    if _is_socket(host):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        # A name, `localhost` too, is what a name server says.
        return False


def _is_socket(host: str) -> bool:
    return host.startswith(("/", "@"))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")
