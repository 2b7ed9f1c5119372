"""The Dockerfile, read without a build engine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatch

from support.kubernetes.manifests import ROOT

DOCKERFILE = ROOT / "Dockerfile"


@dataclass(frozen=True)
class Instruction:
    """One instruction, its lines joined."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """Of its text, or the items of its JSON list."""
        words: list[str] = json.loads(self.text) if self.text.startswith("[") else self.text.split()
        return words


def instructions() -> list[Instruction]:
    """All instructions of the image, in order."""
    lines = [line for line in DOCKERFILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    pairs = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
    return [Instruction(name, text) for name, text in pairs]


def stages() -> list[list[Instruction]]:
    """The instructions by stage, each beginning with its FROM."""
    found: list[list[Instruction]] = []
    for one in instructions():
        if one.name == "FROM":
            found.append([])
        if found:
            found[-1].append(one)
    return found


def entry_point() -> list[str]:
    """The beginning of the command of a container whose manifest contains only `args`."""
    return only("ENTRYPOINT").words


def only(name: str) -> Instruction:
    """The only instruction of this name in the last stage, which is the image."""
    found = [one for one in stages()[-1] if one.name == name]
    assert len(found) == 1, f"the image has {len(found)} instructions {name}"
    return found[0]


def is_sent(path: str) -> bool:
    """True if `.dockerignore` lets a file of the checkout reach the build: the last matching pattern decides."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        pattern, wanted = line.removeprefix("!"), line.startswith("!")
        parts = path.split("/")
        heads = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        if pattern.startswith("**/"):
            fits = any(fnmatch(part, pattern.removeprefix("**/")) for part in parts)
        else:
            fits = any(head.count("/") == pattern.count("/") and fnmatch(head, pattern) for head in heads)
        if fits:
            sent = wanted
    return sent
