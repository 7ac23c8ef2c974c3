"""`[store]` with a database of several hosts: what is accepted, what is refused, and what libpq is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from console.config import ConfigError, load
from console.store.fleet_settings import FleetSettings, hosts_of
from tests.config.files import CAPS, TASK, written

URL = "postgresql://nightdesk_engine@db.example.org/ops"


def fleet_of(folder: Path, keys: str) -> FleetSettings:
    """The settings of a `[store]` with these keys."""
    fleet = load(written(folder, f"[store]\n{keys}\n{CAPS}{TASK}")).store.fleet
    assert fleet is not None
    return fleet


def told(url: str, tls_root: str | None = None) -> dict[str, str]:
    """What libpq reads of a URL."""
    return {
        name: str(value)
        for name, value in conninfo_to_dict(FleetSettings(url=url, host="web1", tls_root=tls_root).conninfo).items()
    }


def test_every_key_of_a_fleet(tmp_path: Path) -> None:
    keys = f'url = "{URL}"\nschema = "ops_1"\ntls_root = "system"\npooled = true\nhost = "web1"'
    assert fleet_of(tmp_path, keys) == FleetSettings(
        url=URL, schema="ops_1", pooled=True, host="web1", tls_root="system"
    )
    assert load(written(tmp_path, CAPS + TASK)).store.fleet is None


def test_defaults_and_a_service(tmp_path: Path) -> None:
    fleet = fleet_of(tmp_path, 'service = "nightdesk"')
    assert (fleet.schema, fleet.pooled, fleet.tls_root) == ("nightdesk", False, None)
    assert fleet.host
    assert fleet.place == "service nightdesk"
    assert conninfo_to_dict(fleet.conninfo) == {
        "service": "nightdesk",
        "sslmode": "verify-full",
        "gssencmode": "disable",
    }


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ('url = "postgresql://me:secret@db/ops"', "store.url holds a password; it belongs into the password file"),
        ('url = "postgresql://me@db/ops?password=secret"', "store.url holds a password; it belongs into the password"),
        ('url = "postgresql://me@db/ops?sslmode=require"', "store.url holds sslmode, which is always verify-full"),
        ('url = "postgresql://me@db/ops?sslrootcert=x"', "store.url holds sslrootcert, which is the key tls_root"),
        ('url = "postgresql://me@127.0.0.1/ops?hostaddr=9.9.9.9"', "store.url holds hostaddr, past which no name"),
        ('url = "postgresql://me@db/ops?options=-csynchronous_commit%3Doff"', "store.url holds options, which the"),
        ('url = "postgresql://me@db/ops?weird=1"', "store.url holds weird, which is not one of the parameters"),
        ('url = "mysql://me@db/ops"', "store.url is not the URL of a PostgreSQL database; accepted: postgresql://ROLE"),
        ('url = "db.example.org"', "store.url is not the URL of a PostgreSQL database"),
        ('url = "postgresql://me@db/o ps"', "store.url has blanks, or characters that a URL writes as %XX"),
        ('url = "postgresql://me@db:x/ops"', "store.url holds a port that is none"),
        ('url = "postgresql://me@[::1/ops"', "store.url is not the URL of a PostgreSQL database"),
        ('url = "postgresql://me@db/ops?host=/run/pg,db"', "store.url names a Unix socket among several hosts"),
        ("url = 5", "store.url is 5; accepted: postgresql://ROLE@HOST/DATABASE"),
        (
            'url = "postgresql://me@db/ops"\nservice = "x"',
            "store.service is set as well as url; accepted: one of the two",
        ),
        ('service = "a b"', 'store.service is "a b"; accepted: the name of an entry in the service file'),
        ('service = "x"\nschema = "Ops"', 'store.schema is "Ops"; accepted: 1 to 63 characters of a-z 0-9 _'),
        ('schema = "ops"', "store.schema is set without url or service; accepted: one of the two beside it"),
        ('service = "x"\nhost = "a b"', 'store.host is "a b"; accepted: 1 to 64 characters'),
        ('service = "x"\npooled = 1', "store.pooled is 1; accepted: true or false"),
        ('service = "x"\ntls_root = "absent.pem"', "store.tls_root"),
    ],
)
def test_bad_input_is_one_line_without_the_secret(tmp_path: Path, keys: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, f"[store]\n{keys}\n{CAPS}{TASK}"))
    (line,) = caught.value.errors
    assert complaint in line
    assert "secret" not in line.replace("password", "")


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "postgresql://me@localhost/ops",
        "postgresql://me@10.0.0.1/ops",
        "postgresql://me@127.0.0.1,db/ops",
        "postgresql:///ops",
    ],
)
def test_a_server_elsewhere_is_always_verified(url: str) -> None:
    assert told(url)["sslmode"] == "verify-full"
    assert told(url)["gssencmode"] == "disable"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://me@127.0.0.1:5433/ops", "127.0.0.1"),
        ("postgresql://me@[::1]:5433/ops", "::1"),
        ("postgresql://me@/ops?host=/run/pg", None),
    ],
)
def test_a_server_of_this_machine_may_have_no_certificate(url: str, address: str | None) -> None:
    """Its address is named, so that PGHOSTADDR does not lead elsewhere."""
    assert told(url)["sslmode"] == "prefer"
    assert told(url).get("hostaddr") == address
    assert told(url, "/roots.pem")["sslmode"] == "verify-full"


def test_hosts_are_those_that_libpq_reads() -> None:
    for url in ("postgresql://a,b:5/x", "postgresql://me@[::1]:7/x", "postgresql://%2Frun%2Fpg/x", "postgresql:///x"):
        assert ",".join(hosts_of(url)) == str(conninfo_to_dict(url).get("host", ""))
