"""Convert `[store]` to settings: which folder, and which database where several hosts share one.

The files that the table names are checked here too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from console.config.errors import ErrorCollector
from console.config.schema import StoreTable
from console.config.settings import StoreSettings
from console.config.toml_positions import KeyPath
from console.store.fleet_settings import FleetSettings
from console.trusted_files import MAX_CONFIG, WRITABLE_BY_OTHERS, Unreadable, read_bounded

SYSTEM_ROOTS = "system"
"""The word for the certificate authorities of the operating system."""
MAX_HOST = 64
SHARED = ("schema", "tls_root", "pooled", "host")
"""Keys that say something about a database of several hosts."""


def read_store(
    table: StoreTable, errors: ErrorCollector, path_from: Callable[[str, KeyPath], Path | None]
) -> StoreSettings:
    """Return the settings of the table; errors are added. `path_from` makes an absolute path, or None with an error."""
    state_dir = None if table.state_dir is None else path_from(table.state_dir, ("store", "state_dir"))
    tls_root = table.tls_root
    if tls_root is not None and tls_root != SYSTEM_ROOTS:
        path = path_from(tls_root, ("store", "tls_root"))
        tls_root = None if path is None else str(checked_certificates(path, ("store", "tls_root"), errors))
    return StoreSettings(state_dir=state_dir, name=table.name, fleet=_fleet(table, tls_root, errors))


def _fleet(table: StoreTable, tls_root: str | None, errors: ErrorCollector) -> FleetSettings | None:
    url = table.url
    if table.service is not None:
        if url is not None:
            errors.add(("store", "service"), "is set as well as url", accepted="one of the two")
        url = f"service={table.service}"
    if url is None:
        for name in SHARED:
            if getattr(table, name) is not None:
                errors.add(("store", name), "is set without url or service", accepted="one of the two beside it")
        return None
    return FleetSettings(
        url=url,
        schema=table.schema or "nightdesk",
        pooled=bool(table.pooled),
        host=table.host or name_of_machine(),
        tls_root=tls_root,
    )


def name_of_machine() -> str:
    """The name of this host, in the characters that a name may have."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", os.uname().nodename)[:MAX_HOST] or "unnamed"


def checked_certificates(path: Path, where: KeyPath, errors: ErrorCollector) -> Path | None:
    """Return the path of a file of certificate authorities; None, with an error, if it cannot be read or trusted."""
    try:
        content = read_bounded(path, most=MAX_CONFIG, forbidden_mode=WRITABLE_BY_OTHERS)
    except Unreadable as error:
        errors.add(where, f"{path} {error}", accepted="a file of certificates that nobody else may write")
        return None
    if b"-----BEGIN CERTIFICATE-----" not in content:
        errors.add(where, f"{path} contains no certificate", accepted="certificates in PEM form")
    return path
