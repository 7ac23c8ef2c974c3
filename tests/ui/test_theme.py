"""Themes are files; all errors in them are reported together, and none ends the console."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.color import Color

from console.ui.spans import Tone
from console.ui.theme import ThemeError, load_themes, packaged_folder, read_theme
from tests.driver import console
from tests.ui.fake_engine import FakeEngine

NAMES = ["clear", "contrast", "day", "mono", "night", "sixteen"]
NIGHT = (packaged_folder() / "night.toml").read_text()


def luminance(colour: Color) -> float:
    def linear(channel: int) -> float:
        part = channel / 255
        return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4

    return 0.2126 * linear(colour.r) + 0.7152 * linear(colour.g) + 0.0722 * linear(colour.b)


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(Color.parse(one)), luminance(Color.parse(other))), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_packaged_themes_load_without_a_problem() -> None:
    themes = load_themes()
    assert sorted(themes.by_name) == NAMES
    assert themes.problems == ()


@pytest.mark.parametrize(("name", "least"), [("night", 4.5), ("day", 4.5), ("clear", 4.5), ("contrast", 7.0)])
def test_text_can_be_read_on_its_background(name: str, least: float) -> None:
    variables = load_themes().by_name[name].variables
    background = variables["base-background"]
    for tone in set(Tone) - {Tone.FAINT, Tone.HELD}:
        front, back = variables[f"tone-{tone}-color"], variables[f"tone-{tone}-back"]
        assert contrast(front, background if back == "transparent" else back) >= least, tone
    cursor = variables["cursor-back"]
    if variables["cursor-tones"] == "keep":
        for tone in set(Tone) - {Tone.FAINT, Tone.HELD, Tone.PICK, Tone.LOUD}:
            assert contrast(variables[f"tone-{tone}-color"], cursor) >= 3.5, tone


@pytest.mark.parametrize("name", NAMES)
async def test_every_theme_shows_every_state(busy: FakeEngine, name: str) -> None:
    async with console(busy, busy.clock, theme=name) as screen:
        for key in ("j", "question_mark", "escape", "X", "escape", "l"):
            await screen.press(key)
        assert "Launch which task?" in screen.text()


async def test_only_our_themes_are_offered(idle: FakeEngine) -> None:
    async with console(idle, idle.clock) as screen:
        assert sorted(screen.app.available_themes) == NAMES


async def test_under_no_color_no_cell_has_a_colour(busy: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with console(busy, busy.clock, theme="mono") as screen:
        for theme in ("mono", "night"):
            screen.app.theme = theme
            await screen.press("j")
            for strip in screen.app.screen._compositor.render_strips(screen.app.size):
                for segment in strip:
                    style = segment.style
                    assert style is None or style.color is None or style.color.is_default
                    assert style is None or style.bgcolor is None or style.bgcolor.is_default


def test_the_operators_own_theme_is_added_or_replaces_one(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(NIGHT)
    (tmp_path / "day.toml").write_text(NIGHT)
    themes = load_themes(tmp_path)
    assert sorted(themes.by_name) == sorted([*NAMES, "mine"])
    assert themes.by_name["day"].dark


def test_broken_files_are_reported_together_and_the_rest_loads(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("title = ")
    (tmp_path / "b.toml").write_text(NIGHT.replace('ok = "#7cc998"', 'ok = "greeen"'))
    (tmp_path / "c.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "good.toml").write_text(NIGHT)
    themes = load_themes(tmp_path)
    assert "good" in themes.by_name
    assert [problem.split(":")[0] for problem in themes.problems] == ["theme a.toml", "theme b.toml", "theme c.toml"]
    assert "tones.ok: 'greeen' is no colour" in themes.problems[1]


def test_a_missing_folder_is_no_problem(tmp_path: Path) -> None:
    assert load_themes(tmp_path / "nowhere").problems == ()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('ok = "#7cc998"', "", "missing: tones.ok"),
        ('ok = "#7cc998"', 'okay = "#7cc998"', "tones has no 'okay'; did you mean 'ok'?"),
        ("[base]", "[bass]", "the file has no 'bass'"),
        ('accent = "#7aa7e8"', "accent = 7", "base.accent: '7' is no colour"),
        ('muted = "#7e8ba1"', 'muted = "#7e8ba1 #111111"', "tones.muted has two colours"),
        ('muted = "#7e8ba1"', "muted = true", "tones.muted is not a text"),
        ('muted = "#7e8ba1"', 'muted = "#7e8ba1 on"', "is no colour"),
    ],
)
def test_a_message_names_the_key_and_what_would_be_accepted(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in NIGHT
    path = tmp_path / "mine.toml"
    path.write_text(NIGHT.replace(old, new))
    with pytest.raises(ThemeError) as caught:
        read_theme(path)
    assert message in str(caught.value)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean night"):
        load_themes().pick("nigth")
