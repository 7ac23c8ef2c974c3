"""Full-text search: turns what a person types into a query of the index `runs_text`.

Each typed word matches words that begin with it. Where few words do, the query names them, because the index reads the
hits of a whole word from the newest on, but collects those of a prefix first.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from console.domain.text import to_index_text
from console.store.rows import fetch_all
from console.store.transaction import Transaction, Value, WordQueries

MOST_TERMS = 32
"""If more words begin with a typed word, the query asks for the prefix."""

MOST_PIECES = 16
"""With more typed words, `row_test` uses the index only."""

IN_INDEX = "exists (select 1 from runs_text where runs_text.rowid = runs.seq and runs_text match {words})"
_IN_INDEX = IN_INDEX.format(words=":words")
_TEXT = "lower(' ' || task || ' ' || target || ' ' || key || ' ' || note || ' ' || result)"
"""The indexed text of a run; SQLite's `lower` folds ASCII only."""
_IS_ASCII = f"length({_TEXT}) = length(cast({_TEXT} as blob))"
"""True if the text is ASCII, in which the index folds no letter but capitals."""

# Each term is found by seeking past the one before it; no term contains U+0001.
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


async def match_words(tx: Transaction, text: str, tasks: Sequence[str] = ()) -> str:
    """Return the FTS5 query for runs in which each word of `text` begins a word; empty for a text without words.

    Nothing in `text` is taken for the query language. With `tasks` the index leaves out most hits of other tasks, so
    that a rare task is found among common words.
    """
    words = " AND ".join([await _query_of(tx, piece) for piece in pieces_of(text)])
    names = [" ".join(tokens_of(task)) for task in tasks]
    if not words or not names or not all(names):
        return words
    quoted = " OR ".join(f'"{name}"' for name in names)
    return f"{words} AND task : ({quoted})"


async def match_any(tx: Transaction, text: str) -> str:
    """Return the FTS5 query for runs in which some word of `text` begins a word; empty for a text without words."""
    return " OR ".join([await _query_of(tx, piece) for piece in pieces_of(text)])


def row_test(text: str) -> tuple[str, Mapping[str, Value]]:
    """Return an SQL condition that a row of `runs` meets if `match_words` finds it, and its parameters beside `:words`.

    The text of the row decides nearly always, at a tenth of the cost of the index: a typed word that follows a blank
    does begin a word, and one that does not occur at all does not.
    """
    pieces = [piece.lower() for piece in pieces_of(text)]
    tokens = list(dict.fromkeys(token for piece in pieces for token in tokens_of(piece)))
    if len(pieces) > MOST_PIECES or not all(piece.isascii() and tokens_of(piece) for piece in pieces):
        return _IN_INDEX, {}
    begun = {f"begun_{number}": f" {piece}" for number, piece in enumerate(pieces)}
    needed = {f"needed_{number}": token for number, token in enumerate(tokens)}
    found = " and ".join(f"instr({_TEXT}, :{name}) > 0" for name in begun)
    absent = " or ".join(f"instr({_TEXT}, :{name}) = 0" for name in needed)
    return f"case when {found} then 1 when {_IS_ASCII} and ({absent}) then 0 else {_IN_INDEX} end", {**begun, **needed}


async def _query_of(tx: Transaction, piece: str) -> str:
    *whole, begun = tokens_of(piece) or [""]
    if begun:
        parameters: dict[str, Value] = {"begun": begun, "beyond": begun + "\U0010ffff", "limit": MOST_TERMS + 2}
        terms = [str(row["term"]) for row in await fetch_all(tx, SELECT_TERMS, parameters)]
        if 0 < len(terms) <= MOST_TERMS:
            return "(" + " OR ".join(f'"{" ".join([*whole, term])}"' for term in terms) + ")"
    # Where the index folds a letter that `tokens_of` does not, no term was found, but there may be hits.
    return f'"{to_index_text(piece)}"*'


def pieces_of(text: str) -> list[str]:
    """Return what a person typed between blanks."""
    return text.replace('"', " ").replace("\0", " ").split()


def tokens_of(piece: str) -> list[str]:
    """Return the words of the piece as the tokenizer of the index cuts and folds them."""
    plain = "".join(map(_without_marks, to_index_text(piece)))
    return "".join(each if each.isalnum() else " " for each in plain.lower()).split()


def _without_marks(character: str) -> str:
    """Return a letter without its accents. In scripts from U+2E80 on, marks make another letter and are kept."""
    if character >= "\u2e80":
        return character
    return "".join(each for each in unicodedata.normalize("NFD", character) if unicodedata.category(each) != "Mn")


FTS5 = WordQueries(all_of=match_words, any_of=match_any, row_test=row_test, are_sampled=False)
