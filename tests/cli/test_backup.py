"""`backup` while a run is live, and `restore`: the run is supervised again, and nothing is launched unasked."""

from __future__ import annotations

import shutil
from pathlib import Path

from console.store.files import DATABASE
from tests.cli.nightdesk import Nightdesk
from tests.waiting import until_sync


def test_a_backup_of_a_live_folder_is_restored_and_its_keys_stay_taken(nightdesk: Nightdesk, tmp_path: Path) -> None:
    running = nightdesk.start("run", "endless", "--origin", "manual")
    until_sync(lambda: [run["state"] for run in nightdesk.live()] == ["running"])
    assert nightdesk("run", "good", "--origin", "manual").code == 0
    done = nightdesk("backup", "copy", "--json")
    assert (done.code, done.json["runs"], done.json["open_runs"]) == (0, 2, 1)

    refused = nightdesk("restore", "copy")
    assert refused.code == 6
    assert "there is a process of nightdesk on this state folder" in refused.err
    running.kill()
    running.wait()
    shutil.rmtree(nightdesk.state)

    done = nightdesk("restore", "copy")
    assert done.code == 0, done.err
    assert "restored 2 runs, 1 of them open, as of 20" in done.err
    assert [run["task"] for run in nightdesk.live()] == ["endless"]
    assert (nightdesk.state / "runs.log").read_text(encoding="utf-8").count("status=launched") == 2
    refused = nightdesk("run", "failing", "--origin", "manual")
    assert refused.code == 8
    assert "is a copy of" in refused.err
    assert nightdesk("doctor", "--reconcile").code == 0
    assert nightdesk("run", "failing", "--origin", "manual").code == 1
    again = nightdesk("run", "good", "--origin", "manual")
    assert (again.code, "skipped" in again.err) == (0, True)
    assert nightdesk("cancel", "endless").code == 0


def test_a_restore_over_newer_files_keeps_the_keys_that_the_log_knows(nightdesk: Nightdesk) -> None:
    assert nightdesk("run", "good", "--origin", "manual").code == 0
    assert nightdesk("backup", "copy").code == 0
    assert nightdesk("run", "failing", "--origin", "manual").code == 1
    (nightdesk.state / DATABASE).write_bytes(b"damaged" * 1000)
    done = nightdesk("restore", "copy", "--json")
    assert done.code == 0, done.err
    assert Path(done.json["kept"], DATABASE).read_bytes().startswith(b"damaged")
    assert nightdesk("run", "failing", "--origin", "manual").code == 8
    reconciled = nightdesk("doctor", "--reconcile")
    assert "stays taken by the lost run" in reconciled.err
    assert nightdesk("run", "failing", "--origin", "manual").code == 6


def test_what_cannot_be_done_is_said_in_one_line_and_leaves_nothing_behind(
    nightdesk: Nightdesk, tmp_path: Path
) -> None:
    missing = nightdesk("backup", "copy")
    assert (missing.code, missing.err.count("\n")) == (8, 1)
    assert not (nightdesk.folder / "copy").exists()
    assert nightdesk("run", "good", "--origin", "manual").code == 0
    assert nightdesk("backup", "copy").code == 0
    full = nightdesk("backup", "copy")
    assert (full.code, "is not empty; name a new folder" in full.err) == (2, True)
    nowhere = nightdesk("restore", "nowhere")
    assert (nowhere.code, "is no complete backup" in nowhere.err) == (2, True)
    (nightdesk.folder / "copy" / "backup.json").write_text("{}", encoding="utf-8")
    assert nightdesk("restore", "copy").code == 2
    assert nightdesk("ps").code == 0
