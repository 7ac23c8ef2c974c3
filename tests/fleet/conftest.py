"""Fixtures: a schema of its own for every test."""

from __future__ import annotations

import os

import pytest

from tests.postgres_server import make_schema


@pytest.fixture
def schema(postgres: str) -> str:
    """The name of a new schema that holds an empty store."""
    name = f"fleet_{os.urandom(6).hex()}"
    make_schema(postgres, name)
    return name
