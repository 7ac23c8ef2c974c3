"""An error names the line on which its key is, whatever the values before it look like."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from console.config.toml_positions import line_of, lines_of

TRICKY = '''\
# [not.a.table]
top = 1
[provider]   # x = 1
kind = "a # ] b = c"
"quoted.key" = 'z # ['
a . b = { inside = "]" }
list = [
  1, # ]
  [2, "]"],
]
text = """
[nope]
x = 1
"""
[prices."gemini-3.8"]
input = 1
[[tasks]]
name = "a"
[[tasks]]
name = "b"
[[tasks.tools]]
type = "k"
[tasks.network]
x = 1
[last]'''


def test_each_key_has_its_line() -> None:
    tomllib.loads(TRICKY)

    assert lines_of(TRICKY) == {
        ("top",): 2,
        ("provider",): 3,
        ("provider", "kind"): 4,
        ("provider", "quoted.key"): 5,
        ("provider", "a", "b"): 6,
        ("provider", "list"): 7,
        ("provider", "text"): 11,
        ("prices", "gemini-3.8"): 15,
        ("prices", "gemini-3.8", "input"): 16,
        ("tasks", 0): 17,
        ("tasks", 0, "name"): 18,
        ("tasks", 1): 19,
        ("tasks", 1, "name"): 20,
        ("tasks", 1, "tools", 0): 21,
        ("tasks", 1, "tools", 0, "type"): 22,
        ("tasks", 1, "network"): 23,
        ("tasks", 1, "network", "x"): 24,
        ("last",): 25,
    }


def test_a_missing_key_has_the_line_of_its_table() -> None:
    found = lines_of("[caps]\nx = 1\n")

    assert line_of(found, ("caps", "daily_units")) == 1
    assert line_of(found, ("tasks", 0, "name")) is None


@given(st.lists(st.text(st.characters(exclude_characters="'", exclude_categories=["Cc", "Cs"])), max_size=6))
def test_texts_do_not_shift_later_lines(texts: list[str]) -> None:
    lines = [f"key{place} = '{text}'" for place, text in enumerate(texts)]
    document = "\n".join(["[table]", *lines, "last = 1"])
    tomllib.loads(document)

    assert lines_of(document)["table", "last"] == len(texts) + 2
