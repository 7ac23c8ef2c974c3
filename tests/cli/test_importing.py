"""`import crontab` prints tasks for the config on stdout, and what to do with them on stderr."""

from __future__ import annotations

from pathlib import Path

from tests.cli.nightdesk import Nightdesk

CRONTAB = "0 3 * * * /opt/good.sh\n@reboot /opt/start\n"


def test_the_output_can_be_added_to_the_config(nightdesk: Nightdesk) -> None:
    (nightdesk.folder / "crontab").write_text(CRONTAB, encoding="utf-8")
    done = nightdesk("import", "crontab", "crontab")
    assert done.code == 0
    config = nightdesk.folder / "nightdesk.toml"
    config.write_text(config.read_text(encoding="utf-8") + done.out, encoding="utf-8")
    assert 'name = "good-2"' in done.out, "the config has a task of that name"
    assert nightdesk("stage", "good-2").code == 0
    assert "line 2 stays in the crontab: @reboot is no time" in done.err
    assert done.err.endswith("take its line out of the crontab, or both run: 1.\n")


def test_json_has_the_same_and_needs_no_config(nightdesk: Nightdesk) -> None:
    (nightdesk.folder / "nightdesk.toml").unlink()
    (nightdesk.folder / "crontab").write_text(CRONTAB, encoding="utf-8")
    done = nightdesk("import", "crontab", "crontab", "--json")
    assert (done.code, done.json["version"]) == (0, 1)
    assert [(task["line"], task["name"], task["window"]) for task in done.json["tasks"]] == [(1, "good", "day")]
    assert [left["line"] for left in done.json["left"]] == [2]


def test_a_file_that_is_not_there_is_named(nightdesk: Nightdesk) -> None:
    done = nightdesk("import", "crontab", "nowhere")
    assert (done.code, done.out) == (2, "")
    assert "nowhere: the file cannot be read" in done.err


def test_the_crontab_of_the_user_is_asked_of_cron(nightdesk: Nightdesk, tmp_path: Path) -> None:
    for script, code, words in (
        ("echo '5 4 * * * /opt/mine.sh'", 0, "or both run: 1."),
        ("echo no crontab for me >&2; exit 1", 2, "`crontab -l` says: no crontab for me"),
    ):
        program = tmp_path / "crontab"
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        program.chmod(0o700)
        done = nightdesk.process("import", "crontab", PATH=f"{tmp_path}:/usr/bin:/bin")
        assert done.code == code, done.err
        assert words in done.err
