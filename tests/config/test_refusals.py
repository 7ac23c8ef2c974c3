"""A file with an error is refused in one line that says where, what, and what is accepted."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from console.config import ConfigError, load
from console.domain.text import is_sanitized
from tests.config.files import CAPS, TASK, written


def problems_of(folder: Path, text: str, *, mode: int = 0o600) -> list[str]:
    """Return the lines of the error without the path of the file."""
    path = written(folder, text, mode=mode)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value).splitlines() == list(caught.value.errors)
    assert all(line.startswith(f"{path}:") for line in caught.value.errors)
    return [line.removeprefix(f"{path}:").strip() for line in caught.value.errors]


# Text put before CAPS and TASK, and the beginning of the error.
IN_PROVIDER = [
    ('kind = "other"', '2: provider.kind is "other"; accepted: "gemini"'),
    ("kind = 3", '2: provider.kind is 3; accepted: "gemini"'),
    ("poll_secnds = 3", '2: provider.poll_secnds is not a known key; did you mean "poll_seconds"?'),
    ("poll_seconds = 0.09", "2: provider.poll_seconds 0.09 is out of range; accepted: seconds from 0.1 to 300"),
    ("poll_seconds = 301", "2: provider.poll_seconds 301 is out of range"),
    ("poll_seconds = 1e999999", "2: provider.poll_seconds 1E+999999 is out of range"),
    ("poll_seconds = nan", "2: provider.poll_seconds is nan; accepted: seconds"),
    ("poll_seconds = -inf", "2: provider.poll_seconds is -infinity; accepted: seconds"),
    ("poll_seconds = true", "2: provider.poll_seconds is true; accepted: seconds"),
    ("poll_seconds = '5'", "2: provider.poll_seconds is a text; accepted: seconds"),
    ("poll_seconds = 1.0005", "2: provider.poll_seconds 1.0005 has more than 3 digits after the decimal point"),
    ("poll_seconds = 2026-11-23", "2: provider.poll_seconds is a date or time; accepted: seconds"),
    ('api_version = "beta"', '2: provider.api_version is "beta"; accepted: a version such as v1'),
    ('base_url = "http://example.org"', "2: provider.base_url http://example.org would send the API key in the clear"),
    ('base_url = "http://localhost:80"', "2: provider.base_url http://localhost would send the API key in the clear"),
    ('base_url = "ftp://example.org"', "2: provider.base_url ftp://example.org would send the API key in the clear"),
    (
        'base_url = "https://me:secret@example.org"',
        "2: provider.base_url holds a user name or password; accepted: http",
    ),
    ('base_url = "https://example.org/?key=1"', "2: provider.base_url holds a query or a fragment; accepted: https"),
    ('base_url = "https://"', "2: provider.base_url names no host; accepted: https://HOST"),
    ('proxy = "proxy.example:3128"', '2: provider.proxy "proxy.example:3128" is not the address of a proxy'),
    ('proxy = "http://proxy.example"', '2: provider.proxy "http://proxy.example" is not the address of a proxy'),
    ('proxy = "http://me:secret@proxy.example:1"', "2: provider.proxy contains a user name or password; accepted"),
    ('proxy = "socks5://proxy.example:1080"', '2: provider.proxy "socks5://proxy.example:1080" is not the address'),
    ("proxy = 3128", "2: provider.proxy is 3128; accepted: http://HOST:PORT"),
    ('ca_file = "absent.pem"', "2: provider.ca_file"),
    ("base_url = 7", "2: provider.base_url is 7; accepted: https://HOST"),
    ('agent = "two words"', '2: provider.agent is "two words"; accepted: 1 to 256 ASCII characters without spaces'),
]
IN_TASK = [
    ('type = "a:b"', 'tasks[1].type is "a:b"; accepted: a text of 1 to 256 characters without a colon'),
    ('target = ""', "tasks[1].target is empty; accepted: one line of 1 to 1024 characters"),
    ('target = "site "', "tasks[1].target starts or ends with a blank"),
    ('target = "x\\ny"', "tasks[1].target contains a line break"),
    ("target = 5", "tasks[1].target is 5"),
    ('prompt_file = "x"', "tasks[1] has both prompt and prompt_file; accepted: exactly one of the two"),
    ('schedule = "0 3 * *"', 'tasks[1].schedule "0 3 * *" has 4 fields; accepted: cron with five fields'),
    ('schedule = "0 0 3 * * *"', 'tasks[1].schedule "0 0 3 * * *" has 6 fields; accepted: cron with five fields'),
    ('schedule = "99 3 * * *"', 'tasks[1].schedule "99 3 * * *" has a bad minute; accepted: cron'),
    ('schedule = "0 0 31 2 *"', 'tasks[1].schedule "0 0 31 2 *" has a bad day-of-month; accepted: cron'),
    ('schedule = "*/30 3 * * *"', "tasks[1].window is missing: this schedule can fire more than once in a day"),
    ('time_zone = "Asia/Tokio"', 'tasks[1].time_zone "Asia/Tokio" is not a known time zone'),
    ('time_zone = "../../etc/passwd"', 'tasks[1].time_zone "../../etc/passwd" is not a known time zone'),
    ('window = "hour"', 'tasks[1].window is "hour"; accepted: "day" or "slot"'),
    ('missed = "none"', 'tasks[1].missed is "none"; accepted: "skip", "latest" or "all"'),
    ('retry_on = ["timeout"]', 'tasks[1].retry_on is a list; accepted: a list that is empty or holds "failed"'),
    ("max_attempts = 0", "tasks[1].max_attempts is 0; accepted: a whole number from 1 to 100"),
    ("max_seconds = 2592001", "tasks[1].max_seconds 2592001 is out of range"),
    ("budget_units = 0", "tasks[1].budget_units 0 is out of range"),
    ("daily_runs = 1.5", "tasks[1].daily_runs 1.5 is not a whole number; accepted: a whole number"),
    ('network = "open"', 'tasks[1].network is "open"; accepted: "disabled", or a table'),
    ("tools = [{ when = 2026-11-23 }]", "tasks[1].tools holds a value that JSON cannot express"),
    ("tools = [{ n = nan }]", "tasks[1].tools holds a value that JSON cannot express"),
]


@pytest.mark.parametrize(("line", "told"), IN_PROVIDER)
def test_errors_in_the_provider_table(tmp_path: Path, line: str, told: str) -> None:
    (problem,) = problems_of(tmp_path, f"[provider]\n{line}\n{CAPS}{TASK}")

    assert problem.startswith(told)


@pytest.mark.parametrize(("line", "told"), IN_TASK)
def test_errors_in_a_task(tmp_path: Path, line: str, told: str) -> None:
    (problem,) = problems_of(tmp_path, f"{TASK}{line}\n{CAPS}")

    assert problem.partition(": ")[2].startswith(told)


@pytest.mark.parametrize("cap", ["daily_units", "monthly_units", "daily_runs", "concurrent_runs"])
def test_each_cap_is_required(tmp_path: Path, cap: str) -> None:
    kept = "".join(line for line in CAPS.splitlines(keepends=True) if not line.startswith(cap))

    (problem,) = problems_of(tmp_path, kept + TASK)

    assert problem.startswith(f"1: caps.{cap} is missing; accepted: ")
    assert problem.endswith('or "unlimited"')


def test_an_empty_file_lacks_the_four_caps(tmp_path: Path) -> None:
    assert [problem.split()[0] for problem in problems_of(tmp_path, "")] == [
        "caps.daily_units",
        "caps.monthly_units",
        "caps.daily_runs",
        "caps.concurrent_runs",
    ]


def test_all_errors_are_reported_at_once_in_file_order(tmp_path: Path) -> None:
    told = problems_of(
        tmp_path,
        "[scheduler]\nconsole = 1\n[caps]\ndaily_units = -1\nmonthly_units = 1e13\ndaily_runs = 100001\n"
        'concurrent_runs = "many"\n[[tasks]]\nname = "two words"\n[tests]\n',
    )

    assert [problem.split()[:2] for problem in told] == [
        ["2:", "scheduler.console"],
        ["4:", "caps.daily_units"],
        ["5:", "caps.monthly_units"],
        ["6:", "caps.daily_runs"],
        ["7:", "caps.concurrent_runs"],
        ["9:", "tasks[1].name"],
        ["10:", "tests"],
    ]
    assert told[-1].endswith('did you mean "tasks"?')


def test_a_name_occurs_once(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, CAPS + TASK + TASK)

    assert problem == '10: tasks[2].name "report" occurs twice; accepted: one entry per name'


def test_two_tasks_do_not_share_their_keys(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, CAPS + TASK + TASK.replace('"report"', '"other"\ntarget = "report"'))

    assert problem.startswith('9: tasks[2] "other" has the same type and target as "report"')


def test_a_task_without_a_prompt(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, CAPS + '[[tasks]]\nname = "a"\n')

    assert problem == "6: tasks[1] has neither prompt nor prompt_file; accepted: exactly one of the two"


def test_tasks_and_prices_of_the_wrong_type(tmp_path: Path) -> None:
    told = problems_of(tmp_path, "prices = 1\n" + CAPS + "[tasks]\nname = 1\n")

    assert [problem.partition(";")[0] for problem in told] == [
        "1: prices is not a table",
        "7: tasks is not a list of tables",
    ]


def test_unusable_prompt_files(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * ((1 << 20) + 1))
    (tmp_path / "latin").write_bytes(b"\xe9")
    (tmp_path / "empty").write_text(" \n")
    os.mkfifo(tmp_path / "pipe")
    names = ("missing", "long", "latin", "empty", "pipe", "~nobody-of-that-name/x")
    tasks = "".join(f'[[tasks]]\nname = "t{place}"\nprompt_file = "{name}"\n' for place, name in enumerate(names))

    told = problems_of(tmp_path, CAPS + tasks)

    endings = [problem.partition(";")[0].rpartition("/")[2] for problem in told]
    assert endings[:5] == [
        "missing cannot be read: no such file or directory",
        "long is larger than 1048576 bytes",
        "latin is not UTF-8",
        "empty is empty",
        "pipe is not a regular file",
    ]
    assert "unknown user" in told[5]


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_prompt_file_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "prompt.md").write_text("Write it.")
    (tmp_path / "prompt.md").chmod(mode)

    (problem,) = problems_of(tmp_path, f'{CAPS}[[tasks]]\nname = "a"\nprompt_file = "prompt.md"\n')

    assert f"prompt.md has mode {mode:04o}; accepted: " in problem


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_prompt_file_that_others_may_read_is_accepted(tmp_path: Path, mode: int) -> None:
    (tmp_path / "prompt.md").write_text("\ufeffWrite it.", encoding="utf-8")
    (tmp_path / "prompt.md").chmod(mode)

    (task,) = load(written(tmp_path, f'{CAPS}[[tasks]]\nname = "a"\nprompt_file = "prompt.md"\n')).tasks

    assert task.prompt == "Write it."


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeff" + CAPS + TASK)
    assert load(path).caps.daily_runs == 100
    path = written(tmp_path, "\ufeff[caps]\nx = 1\n")
    with pytest.raises(ConfigError, match=r":2: caps\.x is not a known key"):
        load(path)


def test_an_inline_prompt_is_limited_in_bytes(tmp_path: Path) -> None:
    told = problems_of(tmp_path, f'{CAPS}[[tasks]]\nname = "a"\nprompt = "{"é" * (1 << 19)}x"\n')

    assert told == ["8: tasks[1].prompt is too long; accepted: a text of at most 1 MiB"]


def test_a_config_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, CAPS + TASK, mode=0o620)

    assert problem.startswith("the file has mode 0620; accepted: a readable file of yours that nobody else may write")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"none\.toml: the file cannot be read: no such file or directory; accepted: "
    ):
        load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff", "the file is not UTF-8; accepted: TOML 1.0"),
        (b"[caps]\nx = \n", "2: not TOML: Invalid value; accepted: TOML 1.0"),
        (b"a = 1\na = 2\n", "2: not TOML: Cannot overwrite a value; accepted: TOML 1.0"),
        (b"a = " + b"[" * 100_000, "not TOML: "),
        (b"a = " + b"9" * 10_000, "not TOML: "),
    ],
)
def test_what_is_not_toml(tmp_path: Path, content: bytes, told: str) -> None:
    path = written(tmp_path, "")
    path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        load(path)

    (problem,) = caught.value.errors
    assert problem.removeprefix(f"{path}:").strip().startswith(told)


def test_a_key_file_that_others_may_read(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("canary")
    (tmp_path / "key").chmod(0o640)

    (problem,) = problems_of(tmp_path, '[provider]\napi_key_file = "key"\n' + CAPS + TASK)

    assert problem == "2: provider.api_key_file has mode 0640; accepted: a file of yours with mode 0600"


def test_two_places_for_one_key(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, '[provider]\napi_key_env = "A"\napi_key_file = "none"\n' + CAPS + TASK)

    assert problem == "3: provider.api_key_file is set as well as api_key_env; accepted: one of the two"


@pytest.mark.parametrize(
    "line",
    [
        'api_key_env = "AIza-canary-0123456789-canary"',
        'api_key_env = "canary-7"',
        'api_key_env = "AIzaSyCanary0123456789canary"',
        'api_key_env = "abcCanary0123456789canary"',
        'api_key = "canary"',
        "api_key_env = canary",
        'base_url = "me:canary@example.org"',
        'base_url = "https://me:can ary@example.org"',
        'base_url = "https://exa mple.org?key=canary"',
        'base_url = "https://example.org:x/#canary"',
        'proxy = "me:canary@proxy.example:1"',
        'proxy = "http://me:canary @proxy.example:1"',
        'proxy = "http://me:canary@proxy.example:port"',
        'proxy = "proxy.example?canary"',
    ],
)
def test_a_secret_in_the_wrong_place_is_not_repeated(tmp_path: Path, line: str) -> None:
    (problem,) = problems_of(tmp_path, f"[provider]\n{line}\n" + CAPS + TASK)

    assert "2: " in problem
    assert not re.search("canary|can ary", problem, re.IGNORECASE)


@pytest.mark.parametrize("name", ["GEMINI_API_KEY", "K2", "_X", "GEMINIAPIKEYOFTHETEAM"])
def test_names_of_variables(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, f'[provider]\napi_key_env = "{name}"\n' + CAPS + TASK)

    assert load(path).providers["default"].api_key.env == name


def test_values_from_the_file_are_shown_sanitized(tmp_path: Path) -> None:
    told = problems_of(tmp_path, '"\\u001b[2J" = 1\n[caps]\ntime_zone = "\\u001b]0;x\\u0007"\n')

    assert not any("\x1b" in problem or "\x07" in problem for problem in told)


HOSTILE = "no\x9b31mRED\x1b[0m\u202etxt.exe"


@pytest.mark.parametrize(
    "text",
    [
        '[[tasks]]\nname = "x"\nprompt_file = "no\\u009b31m\\u202ex"\n',
        '[provider]\napi_key_file = "~no\\u202ex"\nca_file = "no\\u009b31mx"\n',
        '"no\\u009b31m\\u202ex" = 1\n',
        '[provider]\nkind = "no\\u009b31m\\u202ex"\n',
        '[prices."no\\u009b31m\\u202ex"]\ninput = "x"\n',
        '[caps]\ntime_zone = "no\\u009b31m\\u202ex"\n',
        "x = \u202e\n",
    ],
)
def test_no_message_contains_a_control_character(tmp_path: Path, text: str) -> None:
    folder = tmp_path / HOSTILE
    folder.mkdir()

    with pytest.raises(ConfigError) as caught:
        load(written(folder, text))

    assert is_sanitized(str(caught.value), newlines=True)


def test_the_path_of_a_file_that_cannot_be_read_is_sanitized(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / HOSTILE)

    assert is_sanitized(str(caught.value))


IN_CONSOLE = [
    ('keys = { "run.cancl" = "ctrl+x" }', 'console.keys.run.cancl is not a known key; did you mean "run.cancel"?'),
    ('keys = { "screen.runs" = "F1" }', 'console.keys.screen.runs "F1" is not a key; accepted: a character, or a name'),
    ('keys = { "run.cancel" = "ctrl+" }', 'console.keys.run.cancel "ctrl+" is not a key'),
    ('keys = { "run.detail" = "x" }', 'console.keys.run.detail "x" is also the key of run.cancel on the same screen'),
    ('theme = "dracula"', 'console.theme "dracula" is not a theme; accepted: day, night'),
    ('theme = "nigth"', 'console.theme "nigth" is not a theme; accepted: day, night; did you mean "night"?'),
]


@pytest.mark.parametrize(("line", "told"), IN_CONSOLE)
def test_keys_and_themes_of_the_console_are_checked(tmp_path: Path, line: str, told: str) -> None:
    path = written(tmp_path, f"[console]\n{line}\n{CAPS}{TASK}")
    with pytest.raises(ConfigError) as caught:
        load(path, lambda: ("day", "night"))
    (error,) = caught.value.errors
    assert error.startswith(f"{path}:2: {told}")


def test_keys_that_are_free_are_accepted(tmp_path: Path) -> None:
    line = 'keys = { "run.cancel" = "ctrl+x,f8", "run.detail" = "x", "choices.next" = "l" }'
    settings = load(written(tmp_path, f"[console]\n{line}\n{CAPS}{TASK}"))
    assert settings.console.keys["run.cancel"] == "ctrl+x,f8"


@pytest.mark.parametrize("secret", ["AIzaSyShort", "AIzaSyD-abcdefghijklmnopqrstuvwxyz012345"])
def test_a_key_in_place_of_the_name_of_its_variable_is_never_echoed(tmp_path: Path, secret: str) -> None:
    (error,) = problems_of(tmp_path, f'[provider]\napi_key_env = "{secret}"\n{CAPS}{TASK}')
    assert secret not in error
    assert "the NAME of an environment variable, in capital letters" in error


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('schedule = "@daily"', '"@daily" is not supported; accepted: cron with five fields, such as "0 3 * * *"; did'),
        ('schedule = "daily"', '"daily" has 1 field; accepted'),
        ('time_zone = "CEST"', 'did you mean "Europe/Berlin"?'),
        ("timeout = 120", 'did you mean "max_seconds"?'),
        ('daily_units = "unlimted"', 'is "unlimted"; accepted: units from 0 to 10^12, with up to 3 digits'),
    ],
)
def test_what_was_meant_is_named(tmp_path: Path, line: str, told: str) -> None:
    (error,) = problems_of(tmp_path, f"{CAPS}{TASK}{line}\n")
    assert told in error


def test_a_second_table_of_tasks_names_the_double_brackets(tmp_path: Path) -> None:
    (error,) = problems_of(tmp_path, '[tasks]\nname = "a"\n[tasks]\nname = "b"\n')
    assert "accepted: [[tasks]] with double brackets" in error


IN_NOTIFY = [
    ('webhook = "http://hooks.example/canary"', "2: notify.webhook would be sent in the clear; accepted: an https://"),
    ('webhook = "https://me:canary@hooks.example"', "2: notify.webhook contains a user name or password; accepted"),
    ('webhook = "hooks.example/canary"', "2: notify.webhook is not the address of a webhook; accepted: an https://"),
    ('command = "logger"', "2: notify.command is a text; accepted: a list of texts, the program and its arguments"),
    ("command = []", "2: notify.command is not a program and its arguments; accepted"),
    ("command = [1]", "2: notify.command is a list of other things than texts; accepted"),
    ('kinds = ["cutoff"]', '2: notify.kinds "cutoff" is not a kind of notice; accepted: a list out of unconfirmed'),
    ('kinds = "cut_off"', "2: notify.kinds is a text; accepted: a list out of unconfirmed"),
    ('quiet_hours = "22:00"', '2: notify.quiet_hours "22:00" is not two times of the day; accepted: two times'),
    ('quiet_hours = "22:00-24:00"', '2: notify.quiet_hours "24:00" is no time of the day; accepted: two times'),
    ('quiet_hours = "22:00-22:00"', '2: notify.quiet_hours "22:00-22:00" begins when it ends; accepted: two times'),
    ('daily_summary = "8"', '2: notify.daily_summary "8" is no time of the day; accepted: a time of the day such as'),
    ("daily_summary = 08:00:00", "2: notify.daily_summary is a date or time; accepted: a time of the day such as"),
    ("debounce_seconds = -1", "2: notify.debounce_seconds -1 is out of range; accepted: seconds from 0 to 86400"),
    ('webhok = "https://x.example"', '2: notify.webhok is not a known key; did you mean "webhook"?'),
]


IN_OTEL = [
    ('endpoint = "http://traces.example/canary"', "2: otel.endpoint would be sent in the clear; accepted: an https://"),
    ('endpoint = "http://localhost:4318"', "2: otel.endpoint would be sent in the clear; accepted: an https://"),
    ('endpoint = "https://me:canary@traces.example"', "2: otel.endpoint contains a user name or password; accepted"),
    ('endpoint = "https://traces.example?key=canary"', "2: otel.endpoint contains a query or a fragment; accepted"),
    ('endpoint = "traces.example:4318"', "2: otel.endpoint is not the address of a receiver of spans; accepted"),
    ('headers_env = "authorization=Bearer canary"', "2: otel.headers_env"),
    ('headers = "authorization=canary"', "2: otel.headers is not a known key; did you mean"),
    ('service_name = ""', "2: otel.service_name"),
]


@pytest.mark.parametrize(("line", "told"), IN_OTEL)
def test_errors_in_the_otel_table(tmp_path: Path, line: str, told: str) -> None:
    (problem,) = problems_of(tmp_path, f"[otel]\n{line}\n{CAPS}{TASK}")

    assert problem.startswith(told)
    assert "canary" not in problem


@pytest.mark.parametrize(("line", "told"), IN_NOTIFY)
def test_errors_in_the_notify_table(tmp_path: Path, line: str, told: str) -> None:
    (problem,) = problems_of(tmp_path, f"[notify]\n{line}\n{CAPS}{TASK}")

    assert problem.startswith(told)
    assert "canary" not in problem
