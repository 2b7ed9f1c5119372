"""The HTML of every page by a validator of others, html-validate, with its recommended rules."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from support.catalogue_site import pages_in
from support.gateway.environments import NODE, PACKAGES, bare_environment, needed

VALIDATOR = PACKAGES / "node_modules" / "html-validate" / "bin" / "html-validate.mjs"
CONFIGURATION = {
    "root": True,
    "extends": ["html-validate:recommended", "html-validate:document", "html-validate:a11y"],
    "rules": {
        # The site loads nothing of others, and browsers refuse digests of files without a server.
        "require-sri": ["error", {"target": "crossorigin"}],
        # It counts `&lt;` as four characters; another test bounds titles.
        "long-title": "off",
    },
}


def validate(folder: Path, configuration: Path) -> list[tuple[str, str]]:
    needed(NODE)
    configuration.write_text(json.dumps(CONFIGURATION))
    done = subprocess.run(
        [NODE, VALIDATOR, "--config", configuration, "--formatter", "json", f"{folder}/**/*.html"],
        cwd=PACKAGES,
        env=bare_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    assert done.stderr == ""
    report = json.loads(done.stdout)
    return [
        (file["filePath"], f"{found['ruleId']}: {found['message']}") for file in report for found in file["messages"]
    ]


def test_every_page_is_valid(site: Path, tmp_path: Path) -> None:
    assert len(pages_in(site)) > 100
    assert validate(site, tmp_path / "rules.json") == []


def test_the_validator_finds_faults(tmp_path: Path) -> None:
    page = '<!DOCTYPE html>\n<html lang="en"><head><title>x</title></head><body><p><h1>y</h1></p></body></html>\n'
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_text(page)
    assert validate(tmp_path / "site", tmp_path / "rules.json") != []
