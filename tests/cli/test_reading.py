"""Commands that read the past: `history`, `show`, and `log` with rotation and rebuild."""

from __future__ import annotations

import json
import re
import signal

import pytest

from console.cli.exit_codes import ExitCode
from console.domain.log_record import LogRecord, format_line
from tests.cli.nightdesk import CAPS, Nightdesk


def test_history_show_and_log_agree(nightdesk: Nightdesk) -> None:
    good = nightdesk.launch("good").json
    nightdesk.launch("good")
    nightdesk.launch("failing")

    runs = nightdesk("history", "--json").json
    assert [run["outcome"] for run in runs] == ["failed", "skipped", "ok"]
    assert [run["task"] for run in nightdesk("history", "--task", "failing", "--json").json] == ["failing"]
    assert nightdesk("history", "--grep", "failing", "--since", "1h", "--limit", "1", "--json").json == runs[:1]
    assert nightdesk("history", "--until", "1h", "--json").json == []
    assert nightdesk("history", "--since", "soon").code == 2

    shown = nightdesk("show", good["run"][:12], "--json").json
    assert {name: shown[name] for name in good if name in shown} == {name: good[name] for name in good if name in shown}
    assert [event["kind"] for event in shown["timeline"]][-1] == "ok"
    told = nightdesk("show", good["key"]).out
    assert good["run"] in told
    assert "timeline:" in told
    assert "of 50.0, cut off when it is reached" in told
    skipped = nightdesk("show", runs[1]["run"]).out
    assert "no attempt" in skipped
    assert "units" not in skipped

    lines = nightdesk("log", "--json").json
    assert [line["status"] for line in lines] == ["launched", "ok", "skipped", "launched", "failed"]
    assert (lines[1]["run"], lines[1]["units"], lines[1]["tokens"]) == (good["run"], good["units"], good["tokens"])
    assert lines[2]["reason"] == "done"
    table = nightdesk("history").out.splitlines()
    assert table[0].split() == ["WHEN", "UTC", "OUTCOME", "TASK", "RUN", "TRY", "DATE", "ELAPSED", "UNITS", "NOTE"]
    assert len(table) == 4


def test_history_takes_the_filter_of_the_screen_and_sorts(nightdesk: Nightdesk) -> None:
    good = nightdesk.launch("good").json
    nightdesk.launch("good")
    nightdesk.launch("failing")

    def tasks(*options: str) -> list[str]:
        return [run["outcome"] for run in nightdesk("history", "--json", *options).json]

    assert tasks("--filter", "-outcome:skipped today") == ["failed", "ok"]
    assert tasks("--filter", f"key:{good['key'][:6]}", "--reverse") == ["ok", "skipped"]
    assert tasks("--sort", "task") == ["failed", "ok", "skipped"]
    assert tasks("--sort", "units", "--reverse")[0] == "skipped"
    wrong = nightdesk("history", "--filter", "outcom:ok")
    assert (wrong.code, "did you mean outcome:?" in wrong.err) == (2, True)
    assert "write the other filters into it" in nightdesk("history", "--filter", "x", "--task", "good").err
    assert tasks("--since", "yesterday") == tasks()


def test_diff_names_what_differs_between_two_runs(nightdesk: Nightdesk) -> None:
    good, failing = nightdesk.launch("good").json["run"], nightdesk.launch("failing").json["run"]
    found = nightdesk("diff", good[:12], "failing", "--json").json
    assert found["runs"] == [good, failing]
    assert found["differs"]["task"] == ["good", "failing"]
    assert found["differs"]["outcome"] == ["ok", "failed"]
    assert "budget" not in found["differs"]
    assert len(found["differs"]["launched prompt sha256"][0]) == 13
    table = nightdesk("diff", good, failing, "--all").out
    assert re.search(r"^budget +50.0 units +50.0 units", table, re.MULTILINE)
    assert "Go." not in table
    assert "the same run" in nightdesk("diff", good, good).err
    assert nightdesk("diff", good, "nothing").code == 2


def test_the_log_can_be_rebuilt_and_rotated(nightdesk: Nightdesk) -> None:
    nightdesk.launch("good")
    log = nightdesk.state / "runs.log"
    before = log.read_bytes()

    log.write_bytes(before[:-20])
    torn = nightdesk("log")
    assert "1 torn or foreign lines were passed over" in torn.err or len(torn.out.splitlines()) == 1
    assert nightdesk("log", "rebuild", "--json").json == {"lines": 2}
    assert log.read_bytes() == before

    assert nightdesk("log", "rotate", "--json").json == {"rotated": f"{log}.1"}
    assert nightdesk("log", "rotate", "--json").json == {"rotated": None}
    assert nightdesk("log").out.encode() == before, "the log includes its rotated files"
    assert nightdesk("log", "-n", "1").out.encode() == before.splitlines(keepends=True)[1]


def test_following_the_log_ends_with_ctrl_c(nightdesk: Nightdesk) -> None:
    nightdesk.launch("good")
    following = nightdesk.start("log", "-f", "--json")
    assert following.stdout is not None
    assert '"status": "launched"' in following.stdout.readline()
    assert '"status": "ok"' in following.stdout.readline()

    nightdesk.launch("good")
    assert '"status": "skipped"' in following.stdout.readline()

    following.send_signal(signal.SIGINT)
    assert nightdesk.ended(following).code == 0


@pytest.mark.parametrize("arguments", [("log",), ("log", "--json"), ("log", "-f")])
def test_a_reader_who_leaves_ends_a_long_log_at_once_and_without_a_word(
    nightdesk: Nightdesk, arguments: tuple[str, ...]
) -> None:
    nightdesk.state.mkdir(mode=0o700)
    with (nightdesk.state / "runs.log").open("wb") as log:
        for number in range(5_000):
            fields = {"event": "stall", "why": "longer than a pipe holds"}
            log.write(format_line(LogRecord(ev=number + 1, at_ms=number, key="-", status="note", fields=fields)))
    printing = nightdesk.start(*arguments)
    assert printing.stdout is not None
    assert printing.stdout.readline()
    printing.stdout.close()
    assert printing.wait(timeout=60) == ExitCode.PIPE
    assert printing.stderr is not None
    assert printing.stderr.read() == ""
    printing.stderr.close()


def test_arrays_are_printed_element_by_element(nightdesk: Nightdesk) -> None:
    assert nightdesk("log", "--json").out == "[]\n"
    assert nightdesk("history", "--json").out == "[]\n"
    nightdesk.launch("good")
    first, *elements, last = nightdesk("log", "--json").out.splitlines()
    assert (first, last) == ("[", "]")
    assert [json.loads(element.removesuffix(","))["status"] for element in elements] == ["launched", "ok"]


def test_the_name_of_a_task_means_its_live_run_else_its_latest(nightdesk: Nightdesk) -> None:
    assert nightdesk("run", "good", "--origin", "manual").code == 0
    assert nightdesk("show", "good", "--json").json["outcome"] == "ok"
    assert nightdesk("run", "good", "--origin", "manual").code == 0, "skipped: its entry is no run"
    assert nightdesk("show", "good", "--json").json["outcome"] == "ok"
    done = nightdesk("show", "nothing")
    assert done.code == 2
    assert "no run has the id or key 'nothing', and no run is of a task of that name" in done.err


def test_help_shows_a_command_and_errors_are_json_where_json_is_asked_for(nightdesk: Nightdesk) -> None:
    assert nightdesk("help", "run").out == nightdesk("run", "--help").out
    done = nightdesk("show", "nothing", "--json")
    assert (done.code, done.out) == (2, "")
    told = json.loads(done.err)
    assert told["exit"] == 2
    assert "nothing" in told["error"]


def test_a_person_without_a_terminal_is_told_how_to_ask(nightdesk: Nightdesk) -> None:
    done = nightdesk("run", "good")
    assert done.code == 6
    assert "(no terminal: counted as scheduled; give --origin manual when a person asks)" in done.err


def test_times_are_those_of_the_caps(nightdesk: Nightdesk) -> None:
    nightdesk.configure(CAPS + 'time_zone = "Asia/Tokyo"\n')
    assert nightdesk("run", "good", "--origin", "manual").code == 0
    assert re.search(r"^started .* JST$", nightdesk("show", "good").out, re.MULTILINE)
    assert "frees at" in nightdesk("caps").out
    assert " 00:00:00 JST" in nightdesk("caps").out
    assert nightdesk("history").out.startswith("WHEN JST")
