"""Words on PostgreSQL: the vector that is stored of a run's texts, and the queries that find runs by it.

Both are cut and folded by the tokenizer of `full_text`, so that a search finds what the index of SQLite finds. What a
vector cannot hold is not found: words after the first MOST_TOKENS, what a word has after MOST_LETTERS, a place of a
word after its first 256, and what is beyond MOST_BYTES, or beyond MOST_CHARACTERS of a text.

Kept apart because the statements that store words and the reads that look for them need nothing else in common.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from console.store.full_text import IN_INDEX, pieces_of, tokens_of
from console.store.rows import TEXT_COLUMNS
from console.store.transaction import Columns, Transaction, Value, WordQueries

MOST_TOKENS = 16_000
MOST_LETTERS = 64
MOST_BYTES = 1_000_000
MOST_CHARACTERS = 200_000
GAP = 2
"""Places between the texts of a run: a row of words is within one of them."""
_ASCII_WORD = re.compile(r"[a-z0-9]+", re.ASCII)
NOTHING = "'-'"
"""A query that finds nothing: no word is without letters and digits."""


def vector_of(columns: Columns) -> str:
    """Return the words of the columns TEXT_COLUMNS with their places, as PostgreSQL reads a vector."""
    places: dict[str, list[str]] = {}
    place, left = 0, MOST_BYTES
    for name in TEXT_COLUMNS:
        for token in _tokens_of(str(columns[name] or "")[:MOST_CHARACTERS]):
            word = token[:MOST_LETTERS]
            place += 1
            left -= 2 if word in places else 8 + len(word.encode())
            if place > MOST_TOKENS or left < 0:
                break
            places.setdefault(word, []).append(str(place))
        place += GAP
    return " ".join(f"'{word}':{','.join(at)}" for word, at in places.items())


def _tokens_of(text: str) -> list[str]:
    # Nearly every text is ASCII, in which nothing is folded but capitals.
    return _ASCII_WORD.findall(text.lower()) if text.isascii() else tokens_of(text)


async def _all_of(tx: Transaction, text: str, tasks: Sequence[str] = ()) -> str:
    return " & ".join(map(_query_of, pieces_of(text)))


async def _any_of(tx: Transaction, text: str) -> str:
    return " | ".join(map(_query_of, pieces_of(text)))


def _row_test(text: str) -> tuple[str, Mapping[str, Value]]:
    return IN_INDEX.format(words=":words"), {}


def _query_of(piece: str) -> str:
    tokens = [token[:MOST_LETTERS] for token in tokens_of(piece)]
    return "(" + " <-> ".join(f"'{token}'" for token in tokens) + ":*)" if tokens else NOTHING


VECTORS = WordQueries(all_of=_all_of, any_of=_any_of, row_test=_row_test, are_sampled=True)
