"""The ids of all key bindings with their keys and the screens on which they work, to check `[console] keys` against.

A config is checked without loading the screens; `tests/test_keys.py` compares this table with their bindings, and
`python -m tests.key_table` writes it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

KEY_IDS: Mapping[str, tuple[str, str]] = {
    "all.kill_switch": ("X", "runs history detail"),
    "app.help": ("question_mark", "runs history rollout usage detail"),
    "app.palette": ("colon", "runs history rollout usage detail"),
    "app.problems": ("exclamation_mark", "runs history rollout usage detail"),
    "app.quit": ("q", "runs history rollout usage detail"),
    "app.quit_now": ("ctrl+q,ctrl+c", "runs history rollout usage detail"),
    "choices.next": ("right,down,tab,l,j", "choices"),
    "choices.previous": ("left,up,shift+tab,h,k", "choices"),
    "choices.take": ("enter", "choices"),
    "chooser.next": ("down,ctrl+n,tab", "chooser"),
    "chooser.up": ("up,ctrl+p,shift+tab", "chooser"),
    "detail.back": ("escape", "detail"),
    "detail.down": ("down,j", "detail"),
    "detail.end": ("end,G", "detail"),
    "detail.follow": ("f", "detail"),
    "detail.next_match": ("n", "detail"),
    "detail.page_down": ("pagedown", "detail"),
    "detail.page_up": ("pageup", "detail"),
    "detail.previous_match": ("N", "detail"),
    "detail.search": ("slash", "detail"),
    "detail.top": ("home,g", "detail"),
    "detail.up": ("up,k", "detail"),
    "detail.whole": ("enter", "detail"),
    "detail.wrap": ("w", "detail"),
    "dialog.answers": ("tab,shift+tab,up,down", "dialog"),
    "dialog.back": ("escape", "dialog"),
    "dialog.reason": ("r", "dialog"),
    "filter.clear": ("escape", "filter"),
    "filter.complete": ("tab", "filter"),
    "filter.keep": ("down,enter", "filter"),
    "find.all": ("escape", "history rollout"),
    "find.filter": ("slash", "runs history rollout usage"),
    "find.order": ("o", "runs history rollout usage"),
    "find.reverse": ("O", "runs history rollout usage"),
    "find.saved": ("b", "runs history rollout usage"),
    "form.next": ("down,tab", "form"),
    "form.previous": ("up,shift+tab", "form"),
    "help.back": ("escape,question_mark,q,enter", "help"),
    "help.down": ("down,j", "help"),
    "help.page_down": ("pagedown,space", "help"),
    "help.page_up": ("pageup", "help"),
    "help.up": ("up,k", "help"),
    "history.again": ("r", "history"),
    "history.attempts": ("space", "history"),
    "history.export": ("e", "history"),
    "list.down": ("down,j", "rollout"),
    "list.first": ("home,g", "rollout"),
    "list.last": ("end,G", "rollout"),
    "list.up": ("up,k", "rollout"),
    "panel.fold": ("minus", "runs history rollout"),
    "panel.grow": ("plus", "runs history rollout"),
    "run.approve": ("a", "runs detail"),
    "run.cancel": ("x", "runs history detail"),
    "run.copy": ("y", "runs"),
    "run.copy_what": ("y", "history detail"),
    "run.decline": ("d", "runs detail"),
    "run.detail": ("enter", "runs history"),
    "run.mark": ("space", "runs"),
    "run.prompt": ("p", "detail"),
    "run.settle": ("s", "runs history detail"),
    "run.unmark": ("escape", "runs"),
    "screen.agenda": ("5", "runs history rollout usage detail"),
    "screen.audit": ("6", "runs history rollout usage detail"),
    "screen.history": ("2", "runs history rollout usage detail"),
    "screen.rollout": ("3", "runs history rollout usage detail"),
    "screen.runs": ("1", "runs history rollout usage detail"),
    "screen.usage": ("4", "runs history rollout usage detail"),
    "shell.words": ("c", "runs history rollout usage detail"),
    "stage.demote": ("P", "rollout"),
    "stage.history": ("h", "rollout"),
    "stage.promote": ("p", "rollout"),
    "table.down": ("down,j", "runs history"),
    "table.first": ("home,g", "runs history"),
    "table.last": ("end,G", "runs history"),
    "table.page_down": ("pagedown", "runs history"),
    "table.page_up": ("pageup", "runs history"),
    "table.up": ("up,k", "runs history"),
    "task.launch": ("l", "runs"),
    "usage.all": ("escape", "usage"),
    "usage.day_after": ("right", "usage"),
    "usage.day_before": ("left", "usage"),
    "usage.down": ("down,j", "usage"),
    "usage.first": ("home", "usage"),
    "usage.group": ("g", "usage"),
    "usage.history": ("enter", "usage"),
    "usage.last": ("end,G", "usage"),
    "usage.measure": ("u", "usage"),
    "usage.page_down": ("pagedown", "usage"),
    "usage.page_up": ("pageup", "usage"),
    "usage.range": ("t", "usage"),
    "usage.up": ("up,k", "usage"),
}
"""By id: the keys, separated by commas, and the screens, separated by blanks."""
NAMED_KEYS = frozenset(
    [
        "up",
        "down",
        "left",
        "right",
        "home",
        "end",
        "pageup",
        "pagedown",
        "insert",
        "delete",
        "enter",
        "escape",
        "tab",
        "space",
        "backspace",
        "question_mark",
        "exclamation_mark",
        "colon",
        "semicolon",
        "slash",
        "backslash",
        "minus",
        "plus",
        "full_stop",
        "comma",
        "equals_sign",
        "underscore",
        "asterisk",
        "number_sign",
        "at",
        "percent_sign",
        "ampersand",
        "dollar_sign",
        "circumflex_accent",
        "tilde",
        "apostrophe",
        "quotation_mark",
        "grave_accent",
        "vertical_line",
        "left_parenthesis",
        "right_parenthesis",
        "left_square_bracket",
        "right_square_bracket",
        "left_curly_bracket",
        "right_curly_bracket",
        "less_than_sign",
        "greater_than_sign",
    ]
) | {f"f{number}" for number in range(1, 25)}
"""Names of keys; other keys are written as the character that they type."""
CHARACTERS = {"question_mark": "?", "exclamation_mark": "!", "colon": ":", "slash": "/", "minus": "-", "plus": "+"}
KEY_ACCEPTED = "a character, or a name such as f1, ctrl+x, shift+tab, pagedown; several with commas between them"
_MODIFIERS = re.compile(r"^(?:(?:ctrl|shift|alt|super|meta)\+)*(?=.)")


def is_key(name: str) -> bool:
    """True for a key that a terminal can send: `x`, `X`, `?`, `f1`, `ctrl+x`, `shift+f3`."""
    bare = _MODIFIERS.sub("", name)
    return bare in NAMED_KEYS or (len(bare) == 1 and bare.isprintable() and not bare.isspace())


def near_key(name: str) -> str | None:
    """The key that was probably meant by a name in other letters: `f1` for `F1`."""
    return name.lower() if is_key(name.lower()) else None


def split_keys(text: str) -> list[str]:
    """The keys of a list such as `x,ctrl+x`. A comma alone is written `comma`."""
    return [each.strip() for each in text.split(",") if each.strip()]


def collisions(keys: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """What `keys` (other keys by id) makes ambiguous: the id, the key, and the other id that has it on one screen."""
    by_id = {
        identity: {CHARACTERS.get(key, key) for key in split_keys(keys.get(identity, defaults))}
        for identity, (defaults, _) in KEY_IDS.items()
    }
    found = []
    for identity in keys:
        places = set(KEY_IDS[identity][1].split()) if identity in KEY_IDS else set()
        for other, taken in by_id.items():
            both = sorted(by_id.get(identity, set()) & taken)
            if other != identity and both and places & set(KEY_IDS[other][1].split()):
                found.append((identity, both[0], other))
    return found
