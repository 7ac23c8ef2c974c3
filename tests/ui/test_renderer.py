"""Output by difference shows what the plain output would show, cell by cell, for random and for real frames."""

from __future__ import annotations

import random
import re

import pytest
from rich.console import Console as RichConsole
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from console.ui.terminal.renderer import ERASE, DiffRenderer
from tests.ui.emulator import TerminalEmulator

WIDTH, HEIGHT = 30, 8
SEEDS = 250
LETTERS = ["a", "b", "Z", "9", " ", " ", "━", "╸", "●", "é", "毎", "東", "語", "…", "▌"]
STYLES = [
    Style(),
    Style(bold=True),
    Style(color="red", bgcolor="#102030"),
    Style(color="#c0ffee", dim=True),
    Style(reverse=True, underline=True),
    Style(bgcolor="blue"),
]
CONSOLE = RichConsole(color_system="truecolor", force_terminal=True, width=WIDTH)


def random_strip(chance: random.Random, cells: int) -> Strip:
    segments = [
        Segment("".join(chance.choices(LETTERS, k=chance.randint(1, 6))), chance.choice(STYLES)) for _ in range(12)
    ]
    return Strip(segments).adjust_cell_length(cells, Style())


class Model:
    """Lines as a compositor has them, and the stream that a plain driver would write for each change."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.lines = [random_strip(chance, WIDTH) for _ in range(HEIGHT)]

    def whole(self) -> str:
        return "".join(self._at(0, y, strip) for y, strip in enumerate(self.lines)) + "\x1b[1;1H"

    def change(self) -> str:
        """Some spans get other cells; as Textual does, the line is sent from the left edge of its widget."""
        pieces: list[str] = []
        for _ in range(self._chance.randint(1, 5)):
            y, start = self._chance.randrange(HEIGHT), self._chance.randrange(WIDTH)
            end = self._chance.randint(start + 1, WIDTH)
            old, new = self.lines[y], random_strip(self._chance, WIDTH)
            self.lines[y] = Strip.join([old.crop(0, start), new.crop(start, end), old.crop(end, WIDTH)])
            pieces.append(self._at(0, y, self.lines[y]) + ("\n" if y + 1 < HEIGHT else ""))
        return "".join(pieces) + f"\x1b[{self._chance.randint(1, HEIGHT)};{self._chance.randint(1, WIDTH)}H"

    def _at(self, x: int, y: int, strip: Strip) -> str:
        return f"\x1b[{y + 1};{x + 1}H" + strip.render(CONSOLE)


@pytest.mark.parametrize("block", [0, *(pytest.param(block, marks=pytest.mark.proofs) for block in range(1, 5))])
def test_random_frames_end_up_the_same_as_without_the_diff(block: int) -> None:
    for seed in range(block * SEEDS // 5, (block + 1) * SEEDS // 5):
        chance = random.Random(seed)
        model, painter = Model(chance), DiffRenderer(WIDTH, HEIGHT)
        plain, diffed = TerminalEmulator(WIDTH, HEIGHT), TerminalEmulator(WIDTH, HEIGHT)
        for step in range(12):
            data = model.whole() if step == 0 or chance.random() < 0.1 else model.change()
            plain.feed(data)
            painter.feed(data)
            if chance.random() < 0.7:
                diffed.feed(painter.frame())
            if chance.random() < 0.05:
                painter.forget()
        diffed.feed(painter.frame())
        assert diffed.cells() == plain.cells(), f"seed {seed}"


def test_a_frame_without_a_change_is_no_byte() -> None:
    chance = random.Random(1)
    model, painter = Model(chance), DiffRenderer(WIDTH, HEIGHT)
    painter.feed(model.whole())
    assert painter.frame()
    painter.feed(model.whole())
    assert painter.frame() == ""


def test_one_changed_cell_costs_a_move_a_style_and_the_cell() -> None:
    painter = DiffRenderer(80, 24)
    painter.feed("\x1b[5;1H0:59 and more\x1b[1;1H")
    painter.frame()
    painter.feed("\x1b[5;1H0:58 and more\x1b[1;1H")
    assert painter.frame() == "\x1b[5;4H8\x1b[1;1H"


def test_the_first_frame_and_every_one_after_forgetting_erases_first() -> None:
    painter = DiffRenderer(10, 2)
    painter.feed("\x1b[1;1Hhello")
    assert painter.frame() == f"{ERASE}\x1b[m\x1b[1;1Hhello"
    painter.forget()
    assert painter.frame() == f"{ERASE}\x1b[m\x1b[1;1Hhello"


def test_behind_a_character_of_uncertain_width_the_move_is_absolute() -> None:
    painter = DiffRenderer(10, 1)
    painter.feed("\x1b[1;1H●a毎b\x1b[1;1H")
    assert painter.frame().endswith("\x1b[1;1H●\x1b[1;2Ha毎\x1b[1;5Hb\x1b[1;1H")


def test_a_column_that_ticks_costs_little_more_than_its_figures() -> None:
    painter, terminal = DiffRenderer(40, 30), TerminalEmulator(40, 30)
    for second in range(3):
        for row in range(25):
            painter.feed(f"\x1b[{row + 1};10H9:5{second}\x1b[{row + 1};30H0:0{second}")
        painter.feed("\x1b[1;1H")
        frame = painter.frame()
        terminal.feed(frame)
    assert len(frame) <= 50 * 5 + 20
    assert terminal.lines()[7] == f"{'':9}9:52{'':16}0:02"


def test_behind_the_right_edge_the_move_is_absolute() -> None:
    painter, terminal = DiffRenderer(6, 3), TerminalEmulator(6, 3)
    painter.frame()
    painter.feed("\x1b[1;6Ha\x1b[2;6Hb\x1b[3;6Hc\x1b[1;1H")
    terminal.feed(painter.frame())
    assert terminal.lines() == ["     a", "     b", "     c"]


def test_frames_are_wrapped_where_the_terminal_can_show_them_in_one_piece() -> None:
    painter = DiffRenderer(10, 1)
    painter.feed("\x1b[?2026h\x1b[1;1Hab\x1b[?2026l")
    frame = painter.frame()
    assert frame.startswith("\x1b[?2026h")
    assert frame.endswith("\x1b[?2026l")
    painter.feed("\x1b[?2026h\x1b[?2026l")
    assert painter.frame() == ""


@pytest.mark.parametrize(
    ("sequence", "passes"),
    [
        ("\x07", True),
        ("\x1b]52;c;aGVsbG8=\x07", True),
        ("\x1b]52;c;?\x07", False),
        ("\x1b]0;title\x07", False),
        ("\x1b]8;;http://x\x1b\\", False),
        ("\x1b[2J", False),
        ("\x1b[?1049l", False),
        ("\x1bc", False),
        ("\x1bP0;1|17/61\x1b\\", False),
        ("\x9b2J", False),
        ("\x1b[6n", False),
    ],
)
def test_only_sequences_on_the_list_pass(sequence: str, passes: bool) -> None:
    painter = DiffRenderer(10, 2)
    painter.frame()
    painter.feed(sequence)
    frame = painter.frame()
    assert (frame == sequence) if passes else not re.search(r"\x1b[^\[]|\x1b\[(2J|6n|\?1049l)", frame)
    assert "\x9b" not in frame


def test_another_size_keeps_what_fits_and_sends_it_whole() -> None:
    painter, terminal = DiffRenderer(20, 3), TerminalEmulator(12, 4)
    painter.feed("\x1b[1;1Hfirst line of 毎日\x1b[3;1Hthird")
    painter.frame()
    painter.resize(12, 4)
    terminal.feed(painter.frame())
    assert terminal.lines() == ["first line o", "", "third", ""]


def test_combining_marks_stay_with_their_letter() -> None:
    painter, terminal = DiffRenderer(8, 1), TerminalEmulator(8, 1)
    painter.feed("\x1b[1;1Hae\u0301b毎c")
    terminal.feed(painter.frame())
    assert terminal.lines() == ["a\u00e9b毎c"]


def test_text_beyond_the_edges_is_lost_and_harms_nothing() -> None:
    painter, terminal = DiffRenderer(6, 2), TerminalEmulator(6, 2)
    painter.feed("\x1b[1;5Habcdef\x1b[2;6H毎\x1b[9;1Hbelow\x1b[2;1Hok")
    terminal.feed(painter.frame())
    assert terminal.lines() == ["    ab", "ok"]
