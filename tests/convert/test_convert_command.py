"""`callgate convert` as a user runs it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgate.config.document import parse_document
from callgate.workbench.convert.align import Align
from callgate.workbench.convert.render import render_json, render_yaml
from callgate.workbench.convert.rules import Descriptor, RateLimit, RateLimits
from support.program import refused, run

ROOT = Path(__file__).resolve().parent.parent.parent
FILES = Path("tests/convert/files")
GOOD = "domain: d\ndescriptors: [{key: k, rate_limit: {unit: day, requests_per_unit: 1}}]\n"
PARTLY = GOOD.replace("]\n", ", {key: 'l*'}]\n")
WRITTEN = """\
domain: d
align: calendar
descriptors:
  - key: k
    count_refused: true
    rate_limit:
      unit: day
      requests_per_unit: 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "partly.yaml").write_text(PARTLY)
    return tmp_path


@pytest.mark.parametrize(("name", "words"), [("ratelimit", []), ("limitador", ["--align", "sliding"])])
def test_files(name: str, words: list[str]) -> None:
    done = run("convert", name, *words, FILES / f"{name}.yaml", cwd=ROOT)
    assert done.code == 0, done.err
    assert done.out == (ROOT / FILES / f"{name}.converted.yaml").read_text()


def test_to_stdout_and_to_files(folder: Path) -> None:
    header = "# Made by `callgate convert ratelimit` from good.yaml.\n"
    done = run("convert", "ratelimit", "good.yaml", cwd=folder)
    assert (done.code, done.out, done.err) == (0, header + WRITTEN, "")
    for name in ("out.yaml", "out.json"):
        done = run("convert", "ratelimit", "good.yaml", "-o", name, cwd=folder)
        assert (done.code, done.out, done.err) == (0, "", "")
    assert (folder / "out.yaml").read_text() == header + WRITTEN
    assert json.loads((folder / "out.json").read_text()) == parse_document("a.yaml", WRITTEN.encode()).data
    # Nothing lies around, and another run replaces what is there.
    assert sorted(path.name for path in folder.iterdir()) == ["good.yaml", "out.json", "out.yaml", "partly.yaml"]
    assert run("convert", "ratelimit", "good.yaml", "-o", "out.yaml", "--align", "sliding", cwd=folder).code == 0
    assert "align: sliding" in (folder / "out.yaml").read_text()


def test_what_is_left_out_is_written_only_on_request(folder: Path) -> None:
    message = "partly.yaml:2:78: left out: `l*`: a `*` in a key; here a key is compared as it stands"
    done = run("convert", "ratelimit", "partly.yaml", "-o", "out.yaml", cwd=folder)
    last = "nothing was written, since one thing is left out; `--partial` writes the rest"
    assert (done.code, done.out, done.err.splitlines()) == (1, "", [message, last])
    assert not (folder / "out.yaml").exists()
    done = run("convert", "ratelimit", "--partial", "partly.yaml", cwd=folder)
    header = f"# Made by `callgate convert ratelimit` from partly.yaml.\n# {message}\n"
    assert (done.code, done.out, done.err) == (0, header + WRITTEN, message + "\n")


def test_where_nothing_is_left(folder: Path) -> None:
    (folder / "all.yaml").write_text("domain: d\ndescriptors: [{key: 'l*'}]\n")
    done = run("convert", "ratelimit", "--partial", "all.yaml", cwd=folder)
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[-1] == "nothing was written, since nothing is left"
    (folder / "none.yaml").write_text("[]\n")
    expected = "the files hold no limits, so that there is nothing to write"
    assert refused("convert", "limitador", "none.yaml", cwd=folder) == expected


def test_domains_go_into_a_folder(folder: Path) -> None:
    for name, domain in (("a.yaml", "../a b"), ("b.yaml", ".b")):
        (folder / name).write_text(GOOD.replace("domain: d", f"domain: {domain}"))
    words = ["convert", "ratelimit", "a.yaml", "b.yaml", "good.yaml"]
    line = refused(*words, cwd=folder)
    assert line.startswith("there are 3 domains (`../a b`, `.b`, `d`), and a file holds one; name a folder that exists")
    assert refused(*words, "-o", "out.yaml", cwd=folder) == line
    (folder / "out").mkdir()
    assert run(*words, "-o", "out", cwd=folder).code == 0
    written = sorted(path.name for path in (folder / "out").iterdir())
    assert written == ["%2E.%2Fa%20b.yaml", "%2Eb.yaml", "d.yaml"]


def test_what_must_not_be_overwritten(folder: Path) -> None:
    expected = "`good.yaml` is read by this command; name another file for its output"
    assert refused("convert", "ratelimit", "good.yaml", "-o", "good.yaml", cwd=folder) == expected
    assert (folder / "good.yaml").read_text() == GOOD
    os.mkfifo(folder / "pipe")
    line = refused("convert", "ratelimit", "good.yaml", "-o", "pipe", cwd=folder)
    assert line == "cannot write `pipe`: it is no regular file"
    line = refused("convert", "ratelimit", "good.yaml", "-o", "nowhere/out.yaml", cwd=folder)
    assert line == "cannot write `nowhere/out.yaml`: no such file or directory"


def test_files_that_cannot_be_read(folder: Path) -> None:
    line = refused("convert", "ratelimit", "nope.yaml", cwd=folder)
    assert line == "cannot read `nope.yaml`: no such file or directory"
    (folder / "bad.yaml").write_text("domain: d\ndescriptors: [{}]\n")
    assert (
        refused("convert", "ratelimit", "bad.yaml", cwd=folder) == "bad.yaml:2:15: expected the key `key` with a name"
    )
    assert run("convert", "ratelimit", cwd=folder).code == 2
    assert run("convert", "ratelimit", "--align", "fixed", "good.yaml", cwd=folder).code == 2


def test_a_name_cannot_end_the_header(folder: Path) -> None:
    name = "a\ndomain: evil #.yaml"
    (folder / name).write_text(GOOD)
    done = run("convert", "ratelimit", name, cwd=folder)
    assert (done.code, done.out.split("\n", 1)[1]) == (0, WRITTEN)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6) | st.sampled_from(
    ["yes", "NULL", "0x1F", "1e3", "~", "a: b", "- a", "#", "a*", ".inf", "<<", "\u2028", "\x85", "\U0001f600", "\x7f"]
)
LIMITS = st.builds(RateLimit, st.just("day"), st.integers(0, 9), st.booleans(), TEXTS, st.tuples(TEXTS) | st.just(()))
DESCRIPTORS = st.recursive(
    st.builds(Descriptor, TEXTS, TEXTS | st.just(""), st.none() | LIMITS, st.booleans(), st.booleans()),
    lambda inner: st.builds(Descriptor, TEXTS, descriptors=st.lists(inner, max_size=3).map(tuple)),
    max_leaves=5,
)


@given(TEXTS, st.lists(DESCRIPTORS, max_size=3))
def test_what_is_written_is_read_as_it_was(domain: str, descriptors: list[Descriptor]) -> None:
    limits = RateLimits(domain, Align.SLIDING, descriptors)
    assert parse_document("a.yaml", render_yaml(limits, ["", "a header"]).encode()).data == limits.plain()
    assert json.loads(render_json(limits)) == limits.plain()
