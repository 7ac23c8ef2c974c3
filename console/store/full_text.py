"""What a search means: words that each begin a word of a run, said so that the index need not read a whole prefix."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from console.store.database import Transaction
from console.store.rows import Value
from console.store.statements import fetch_all

MOST_TERMS = 32
"""A beginning that more words have is asked for as a prefix."""

MOST_PIECES = 16
"""More words are looked up in their index only."""

_IN_INDEX = "exists (select 1 from runs_text where runs_text.rowid = runs.seq and runs_text match :words)"
_SAID = "lower(' ' || task || ' ' || target || ' ' || key || ' ' || note || ' ' || result)"
"""What the index is made of. `lower` folds ASCII only."""
_PLAIN = f"length({_SAID}) = length(cast({_SAID} as blob))"
"""Nothing but ASCII: the index folds no letter into another one then."""

# Each term is found by a seek behind the one before it; U+0001 is in no term.
SELECT_TERMS = """
    with recursive found (term) as (
        select (select term from runs_terms where term >= :begun limit 1)
        union all
        select (select term from runs_terms where term >= found.term || char(1) limit 1)
        from found where found.term < :beyond
        limit :limit
    )
    select term from found where term >= :begun and term < :beyond
"""


def match_text(text: str) -> str:
    """An FTS5 query for words that all begin a word; nothing in `text` is taken for the query language."""
    return " ".join(f'"{word}"*' for word in _pieces(text))


async def match_words(tx: Transaction, text: str, tasks: Sequence[str] = ()) -> str:
    """The same hits as `match_text` has, by the words that there are; empty for a text without words.

    With `tasks` the index leaves out most hits of other tasks, so that a rare task is found among common words.
    """
    words = " AND ".join([await _meant(tx, piece) for piece in _pieces(text)])
    names = [" ".join(_tokens(task)) for task in tasks]
    if not words or not names or not all(names):
        return words
    quoted = " OR ".join(f'"{name}"' for name in names)
    return f"{words} AND task : ({quoted})"


def row_test(text: str) -> tuple[str, Mapping[str, Value]]:
    """A condition on a row of `runs` with the hits of `match_words`, and its parameters beside `:words`.

    A look at the row itself decides nearly always, at a tenth of what a look into the index of words costs: a word
    that stands behind a blank begins a word whatever stands around it, and letters that stand nowhere begin none.
    """
    pieces = [piece.lower() for piece in _pieces(text)]
    tokens = list(dict.fromkeys(token for piece in pieces for token in _tokens(piece)))
    if len(pieces) > MOST_PIECES or not all(piece.isascii() and _tokens(piece) for piece in pieces):
        return _IN_INDEX, {}
    begun = {f"begun_{number}": f" {piece}" for number, piece in enumerate(pieces)}
    needed = {f"needed_{number}": token for number, token in enumerate(tokens)}
    found = " and ".join(f"instr({_SAID}, :{name}) > 0" for name in begun)
    absent = " or ".join(f"instr({_SAID}, :{name}) = 0" for name in needed)
    return f"case when {found} then 1 when {_PLAIN} and ({absent}) then 0 else {_IN_INDEX} end", {**begun, **needed}


async def _meant(tx: Transaction, piece: str) -> str:
    *whole, begun = _tokens(piece) or [""]
    if begun:
        parameters: dict[str, Value] = {"begun": begun, "beyond": begun + "\U0010ffff", "limit": MOST_TERMS + 2}
        terms = [str(row["term"]) for row in await fetch_all(tx, SELECT_TERMS, parameters)]
        if 0 < len(terms) <= MOST_TERMS:
            return "(" + " OR ".join(f'"{" ".join([*whole, term])}"' for term in terms) + ")"
    # Also where the index folds letters by rules of its own: then no term was found, though there may be hits.
    return f'"{piece}"*'


def _pieces(text: str) -> list[str]:
    return text.replace('"', " ").replace("\0", " ").split()


def _tokens(piece: str) -> list[str]:
    """The piece as the index cuts and folds it."""
    plain = "".join(each for each in unicodedata.normalize("NFD", piece) if unicodedata.category(each) != "Mn")
    return "".join(each if each.isalnum() else " " for each in plain.lower()).split()
