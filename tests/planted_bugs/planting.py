"""Plants a bug in this process: replaces a class, function or constant of the program wherever it is used.

Replacements are objects of these tests (subclasses and functions), so that a rename in the program is followed by the
tools that rename, and what is gone fails at import.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import console


@contextmanager
def replaced(original: object, replacement: object) -> Iterator[None]:
    """While open, every module of the program that holds `original` under a name holds `replacement`.

    Raises LookupError where no module holds it.
    """
    _import_all()
    places = [
        (module, name)
        for module_name, module in list(sys.modules.items())
        if module_name.partition(".")[0] == "console"
        for name, value in vars(module).items()
        if value is original
    ]
    if not places:
        raise LookupError(f"no module of the program holds {original!r}")
    for module, name in places:
        setattr(module, name, replacement)
    try:
        yield
    finally:
        for module, name in places:
            setattr(module, name, original)


@contextmanager
def overridden(owner: type, name: str, replacement: object) -> Iterator[None]:
    """While open, the attribute `name` of a class is `replacement`; for classes that are not looked up by name."""
    original = owner.__dict__[name]
    setattr(owner, name, replacement)
    try:
        yield
    finally:
        setattr(owner, name, original)


def _import_all() -> None:
    """Imports every module of the program, so that none takes the original later."""
    for found in pkgutil.walk_packages(console.__path__, "console."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
