"""The files of pages, whatever tools are called, and the words of names."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgate.workbench.site.paths import Stems
from callgate.workbench.site.topics import topic_of
from callgate.workbench.site.words import words_of
from support.catalogue_site import HOSTILE_NAMES

SAFE = re.compile(r"[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?")
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


def check(names: list[str]) -> None:
    stems = Stems()
    found = {name: stems.of(name) for name in names}
    assert len(set(found.values())) == len(found)
    for name, stem in found.items():
        assert SAFE.fullmatch(stem), (name, stem)
        assert len(stem) <= 130
        assert stem.split(".")[0] not in RESERVED
        assert stems.of(name) == stem


def test_hostile_names_are_safe_files() -> None:
    check([*HOSTILE_NAMES, *RESERVED, *(f"{name}.txt" for name in RESERVED)])


@given(st.lists(st.one_of(st.text(min_size=1), st.sampled_from(HOSTILE_NAMES), st.text("aAbB.-_~", min_size=1))))
def test_any_names_are_safe_files(names: list[str]) -> None:
    check(names)


def test_plain_names_stay_as_they_are() -> None:
    stems = Stems()
    for name in ("create-ami", "create_access_key", "awslabs.ecs-mcp-server"):
        assert stems.of(name) == name


def test_no_name_takes_the_file_of_another_one() -> None:
    digest = hashlib.sha256(b"Get").hexdigest()
    stems = Stems()
    assert stems.of("Get") == f"get-{digest[:10]}"
    assert stems.of(f"get-{digest[:10]}") != f"get-{digest[:10]}"
    assert stems.of(f"get-{digest}") not in {f"get-{digest[:10]}", f"get-{digest}"}


@pytest.mark.parametrize(
    ("name", "action", "suggests", "topic"),
    [
        ("create-ami", "creates an AMI", "Write", "machines and their images"),
        ("create_access_key", "creates an access key", "Write", "credentials"),
        ("stream_group_create", "creates a stream group", "Write", "queues, streams and caches"),
        ("vm_create_image", "creates an image", "Write", "machines and their images"),
        ("update_image_set_metadata", "updates image set metadata", "Write", "descriptions of other things"),
        ("order_list", "lists orders", "Read", "money"),
        ("listUsers", "lists users", "Read", "identities and permissions"),
        ("getEC2Instances", "reads EC2 instances", "Read", "machines and their images"),
        ("git_commit", "commits", "Write", "code and releases"),
        ("list_policies", "lists policies", "Read", "identities and permissions"),
        ("upload_user", "uploads a user", "Write", "identities and permissions"),
        ("list_of_things", "", None, None),
        ("frobnicate", "", None, None),
        ("\u202ecreate", "", None, None),
        ("create_" * 9 + "x", "", None, None),
    ],
)
def test_words(name: str, action: str, suggests: str | None, topic: str | None) -> None:
    words = words_of(name)
    assert (words.action, words.suggests) == (action, suggests)
    found = topic_of(words)
    assert (found.noun if found else None) == topic
