"""The keys of signed logs in the configuration."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml

from callgate.config.bundle import read_bundle
from callgate.config.check import audit_warnings, check
from callgate.config.model import Config
from callgate.errors import ConfigError
from callgate.ledger.private import new_private_key, new_statement, pem_of

NOW = datetime.now(timezone.utc).replace(microsecond=0)


def write_key(folder: Path, *, expires: datetime | None = None) -> None:
    key = new_private_key()
    (folder / "audit.key").write_bytes(pem_of(key))
    (folder / "audit.key").chmod(0o600)
    (folder / "audit.key.pub").write_text(new_statement(key, NOW, expires).note)


def write(folder: Path, **audit: Any) -> Path:
    keys = {"path": "log", "key_file": "audit.key", **audit}
    document = {
        "servers": {"srv": {"policy": "p"}},
        "policies": {"p": "p.yaml"},
        "audit": {key: value for key, value in keys.items() if value is not None},
    }
    (folder / "p.yaml").write_text('{version: "1", default: deny}')
    path = folder / "callgate.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def config_of(folder: Path, **audit: Any) -> Config:
    bundle = read_bundle(write(folder, **audit), {})
    check(bundle)
    return bundle.config


@pytest.mark.parametrize(
    ("audit", "message"),
    [
        ({"stream": "a b"}, "expected 1 to 128 letters, digits"),
        ({"stream": ""}, "expected 1 to 128 letters, digits"),
        ({"key_file": None, "stream": "a"}, "`stream` is for signed logs and needs `key_file`"),
        ({"key_file": None, "sample_allows": 0.5}, "`sample_allows` is for signed logs and needs `key_file`"),
        ({"path": "-"}, "a signed log needs a file as `path`"),
        ({"sample_allows": 1.5}, "sample_allows"),
        ({"checkpoint_interval": "10ms"}, "expected at least `100ms`"),
        ({"checkpoints_url": "ftp://host/"}, "expected a URL such as"),
        ({"checkpoints_url": "https://user:secret@host/"}, "expected a URL such as"),
        ({"checkpoints_url": "http://audit.example.com/"}, "expected `https`"),
        ({"key_file": "lost.key"}, "no such file"),
    ],
)
def test_what_is_refused(tmp_path: Path, audit: dict[str, Any], message: str) -> None:
    write_key(tmp_path)
    with pytest.raises(ConfigError) as refused:
        config_of(tmp_path, **audit)
    assert message in str(refused.value)
    assert "secret" not in str(refused.value)
    assert str(refused.value).startswith(f"{tmp_path / 'callgate.yaml'}:")


def test_statements_in_another_form(tmp_path: Path) -> None:
    write_key(tmp_path)
    (tmp_path / "audit.key.pub").write_text("nothing")
    with pytest.raises(ConfigError, match=r"audit\.key\.pub`: expected statements about keys"):
        config_of(tmp_path)


def test_what_the_data_plane_gets(tmp_path: Path) -> None:
    write_key(tmp_path)
    audit = config_of(tmp_path, stream="web-1", sample_allows=0.25, checkpoints_url="http://127.0.0.1:9/x").audit
    assert audit is not None
    keywords = audit.server_keywords()
    signing = keywords.pop("signing")
    assert set(keywords) == {"path", "mode", "max_bytes", "max_age_s", "keep", "sync_interval_ms"}
    assert (signing["stream"], signing["logged_of_million"], signing["checkpoint_interval_ms"]) == (
        "web-1",
        250_000,
        1000,
    )
    assert (len(signing["public_key"]), signing["former_keys"], len(signing["statements"])) == (32, [], 1)
    # A key of another program has no statement.
    (tmp_path / "audit.key.pub").unlink()
    audit = config_of(tmp_path).audit
    assert audit is not None
    assert audit.server_keywords()["signing"]["public_key"] is None
    assert audit.stream_name()
    audit = config_of(tmp_path, key_file=None).audit
    assert audit is not None
    assert "signing" not in audit.server_keywords()


@pytest.mark.parametrize(
    ("days", "message"),
    [(-1, "the audit key has expired"), (10, "the audit key expires at"), (100, None), (None, None)],
)
def test_the_end_of_a_key_is_warned_of(tmp_path: Path, days: int | None, message: str | None) -> None:
    write_key(tmp_path, expires=None if days is None else NOW + timedelta(days=days))
    bundle = read_bundle(write(tmp_path), {})
    found = [str(one) for one in audit_warnings(bundle, datetime.now(timezone.utc))]
    assert len(found) == (message is not None)
    assert all(message is not None and message in one and "callgate audit key rotate" in one for one in found)
