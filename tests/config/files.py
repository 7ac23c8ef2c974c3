"""Valid config files, in which tests break one thing."""

from __future__ import annotations

from pathlib import Path

CAPS = """\
[caps]
daily_units = 2000
monthly_units = "unlimited"
daily_runs = 100
concurrent_runs = 8
"""
TASK = """\
[[tasks]]
name = "report"
prompt = "Write it."
"""
EVERY_TABLE = """\
[provider]
kind = "gemini"
base_url = "http://127.0.0.1:8080/"
api_version = "v1"
api_key_env = "OTHER_KEY"
agent = "agent-a"
model = "model-a"
poll_seconds = 0.1
sandbox = "remote"
[units]
tokens_per_unit = 500
cached_weight = 0.25
[caps]
daily_units = 0.5
monthly_units = 1_000_000_000_000
daily_runs = "unlimited"
concurrent_runs = 100000
time_zone = "Europe/Berlin"
[prices."model-a"]
input = 0.75
cached = 0.075
output = 3.75
currency = "EUR"
[prices."model-b"]
input = 2
output = 4.000001
[defaults]
max_seconds = 1.5
budget_units = 0.001
cut_off = "before"
stall_seconds = 2
max_attempts = 3
retry_on = []
[rollout]
manual_clean_runs = 2
semi_clean_runs = 0
demote_on = ["timeout"]
approval_seconds = 60
[scheduler]
console = false
[notify]
command = ["./hook", "--now"]
webhook = "https://hooks.example/x?y=z"
webhook_file = "hooks"
apprise_file = "/etc/services"
kinds = ["unconfirmed", "finished"]
quiet_hours = "22:00-7:30"
quiet_kinds = []
debounce_seconds = 0.5
daily_summary = "08:00"
[otel]
endpoint = "https://traces.example/in/"
headers_env = "TRACES_HEADERS"
service_name = "night"
"""
"""Every key of every table except the tasks, none with its default."""
FULL_TASK = """\
[[tasks]]
name = "nightly"
type = "report"
target = "acme/site: all"
prompt = "Go."
schedule = "0  3 * * *"
time_zone = "Asia/Tokyo"
window = "slot"
missed = "latest"
max_seconds = 900
budget_units = 80
cut_off = "before"
stall_seconds = 60
max_attempts = 2
retry_on = ["failed"]
daily_runs = 3
daily_units = 200
agent = "other-agent"
model = "other-model"
sandbox = "env-7"
tools = [{ type = "google_search" }, { type = "mcp_server", b = 1.5, a = [true] }]
network = { allowlist = [{ domain = "example.org" }] }
system_instruction = "Be brief."
"""
"""Every key of a task, none with its default."""


def written(folder: Path, text: str, *, mode: int = 0o600) -> Path:
    """Write `text` to a config file and return its path."""
    path = folder / "nightdesk.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path
