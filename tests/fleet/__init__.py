"""Engines of several hosts on one PostgreSQL database: who owns what, and what survives without the database."""
