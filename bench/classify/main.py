"""Accuracy of the classifier on labelled tools, and its time: `make bench-classify LABELS=DIR`."""

from __future__ import annotations

import sys
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING

from classify.labels import LabelFile, Row, read_cases, read_labels

from callgate.workbench.catalogue import CATEGORIES
from callgate.workbench.classify import classify, poison_findings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callgate.workbench.classify.findings import Finding

CASES = Path(__file__).resolve().parents[2] / "tests/cases/classify"
DANGEROUS = {"Destructive", "Financial"}
MOST_SHOWN = 25


def main() -> None:
    """Prints one part after the other."""
    folder = Path(sys.argv[1])
    files = read_labels(folder)
    own = [
        read_cases(CASES / f"{name}{kind}.json", is_poisoned=kind == "poisoned")
        for name in ("", "learnt_", "apart_", "fresh_")
        for kind in ("harmless", "poisoned")
    ]
    _seeds(folder)
    for file in (*files, own[0]):
        labelled = [row for row in file.rows if row.categories]
        agreed = [row for row in labelled if row.is_agreed]
        if agreed:
            _accuracy(file.name, agreed)
        if len(agreed) < len(labelled):
            _disputed([row for row in labelled if not row.is_agreed])
    _flags([*files, *own])
    _time([row for file in files for row in file.rows])


def _seeds(folder: Path) -> None:
    """The bench asserts a result before it measures: the same input gives the same output."""
    rows = [row for file in read_labels(folder) for row in file.rows][:100]
    assert [classify(row.tool, row.server) for row in rows] == [classify(row.tool, row.server) for row in rows]


def _accuracy(name: str, rows: Sequence[Row]) -> None:
    pairs = [(row, classify(row.tool, row.server)) for row in rows]
    wrong = [(row, found) for row, found in pairs if found.category not in row.categories]
    missed = [row for row, found in pairs if DANGEROUS & set(row.categories) and found.category == "Read"]
    scores = [
        score
        for one in CATEGORIES
        if (score := _f1(one, [(row.categories[0], found.category) for row, found in pairs])) is not None
    ]
    right = len(rows) - len(wrong)
    print(f"\n{name}: {len(rows)} labelled tools")
    print(f"  accuracy          {right / len(rows):.3f} ({right} of {len(rows)})")
    print(f"  macro-F1          {sum(scores) / len(scores):.3f} over {len(scores)} categories")
    print(f"  dangerous misses  {len(missed)}")
    for row in missed:
        print(f"    {row.server}/{row.tool.name}: {row.categories[0]} called Read")
    for row, found in wrong[:MOST_SHOWN]:
        print(
            f"  wrong: {row.server}/{row.tool.name}: {found.category}, "
            f"labelled {' or '.join(row.categories)}: {found.evidence}"
        )
    if len(wrong) > MOST_SHOWN:
        print(f"  and {len(wrong) - MOST_SHOWN} more")


def _f1(category: str, pairs: Sequence[tuple[str, str]]) -> float | None:
    """None for a category that is neither labelled nor found."""
    hits = sum(label == found == category for label, found in pairs)
    labelled = sum(label == category for label, _ in pairs)
    claimed = sum(found == category for _, found in pairs)
    return None if not labelled and not claimed else 2 * hits / (labelled + claimed)


def _disputed(rows: Sequence[Row]) -> None:
    right = sum(classify(row.tool, row.server).category in row.categories for row in rows)
    print(f"  annotators differ on {len(rows)} more, of which {right} have one of their two labels")


def _flags(files: Sequence[LabelFile]) -> None:
    print("\nflagged as poisoned")
    for file in files:
        for is_poisoned in (False, True):
            rows = [row for row in file.rows if row.is_poisoned is is_poisoned]
            if not rows:
                continue
            flagged = [any(poison_findings(row.tool, row.server)) for row in rows]
            share = sum(flagged) / len(rows)
            what = "poisoned, recall" if is_poisoned else "harmless, flagged"
            alone = sum(any(not _is_by_weights(found) for found in poison_findings(row.tool)) for row in rows)
            print(f"  {file.name}: {len(rows)} {what} {share:.3f} ({sum(flagged)}), by patterns alone {alone}")
            odd = [row for row, one in zip(rows, flagged, strict=True) if one is not is_poisoned]
            for row in odd[:MOST_SHOWN]:
                found = next((finding.message for finding in poison_findings(row.tool)), "not found")
                print(f"    {row.server}/{row.tool.name}: {found}")
    every = [row for file in files for row in file.rows if any(poison_findings(row.tool, row.server))]
    if every:
        right = sum(row.is_poisoned for row in every)
        print(f"  precision over all of these files: {right / len(every):.3f}")


def _is_by_weights(found: Finding) -> bool:
    """True if no pattern has found it: patterns are tried first."""
    return "reads like an instruction to the model" in found.message


def _time(rows: Sequence[Row]) -> None:
    began = process_time()
    for row in rows:
        classify(row.tool, row.server)
    classified = process_time()
    for row in rows:
        list(poison_findings(row.tool, row.server))
    ended = process_time()
    print(f"\nprocessor time for 1,000 tools, over {len(rows)} of these files")
    print(f"  category, risk, attributes  {(classified - began) / len(rows) * 1e6:.0f} ms")
    print(f"  poisoned text               {(ended - classified) / len(rows) * 1e6:.0f} ms")


if __name__ == "__main__":
    main()
