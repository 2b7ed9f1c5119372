"""Fits the weights of words that tell poisoned definitions from honest ones: `make fit-poison`.

A logistic regression over the terms of windows of three sentences, in which a term counts for more if it is much more
frequent on one side than on the other (Wang and Manning, "Baselines and Bigrams", 2012). Of a poisoned definition
mostly one window is poisoned, and the others are as honest as any: after the first fit, the windows that score low are
left out. Prints what the weights find in sets that they were not fitted on: in parts of the same sets, each held back
once, and in the sets that are kept apart. Writes `weights.json` of `callgate.workbench.classify.poison`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from classify.labels import LabelFile, Row, read_cases
from scipy.sparse import csr_matrix, diags, vstack
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression

from callgate._callgate import SentenceScorer, sentence_terms
from callgate.workbench.classify.findings import texts_of_tool
from callgate.workbench.classify.poison.likeness import BAR, WEIGHTS, digest_of, likeness
from callgate.workbench.classify.poison.plain import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of numpy and scipy, whose types are not installed where types are checked.
Array: TypeAlias = Any
CASES: Final = Path(__file__).resolve().parents[2] / "tests/cases/classify"
FITTED: Final = {True: ("poisoned.json", "learnt_poisoned.json"), False: ("harmless.json", "learnt_harmless.json")}
JUDGED: Final = {"apart": "kept apart", "fresh": "kept apart, and looked at by nobody"}
KINDS: Final = ("poisoned", "harmless")
FOLDS: Final = 5
# Found on sets of one author, judged by weights of the others': the strength of the fit, the part of a term's contrast
# in its weight, the weight of all poisoned windows beside all honest ones, and the weight of a window without any term,
# which holds the bias down.
STRENGTH: Final = 2.0
CONTRAST: Final = 0.7
POISONED: Final = 0.3
EMPTY: Final = 0.1
FEWEST: Final = 3
"""Definitions that a term must be in."""
SMALLEST: Final = 0.2
"""Weights below are left out."""
LONG: Final = 1.0
"""Poisoned windows with a score above this one are kept, besides the highest of each definition."""
SHORTEST_WINDOW: Final = 24
COMMON: Final = """
the a an to and of in is this on for or with by as it be at from that are : = < > # | * ? ! [ ] { } & % $ <number>
return args example tool into about up their each any other who what its which these those one two use used when if
then can may will has have was than but so no fake ~
"""
"""Words of the style of a set, which say little about its meaning."""
COMMON_WORDS: Final = frozenset(COMMON.split())


@dataclass
class Windows:
    """The terms of the windows of some tools."""

    terms: list[list[str]]
    tools: Array
    """For each window the number of its tool."""
    count: int

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Windows:
        """Reads tools as findings do."""
        terms: list[list[str]] = []
        tools: list[int] = []
        for number, row in enumerate(rows):
            for _, text in texts_of_tool(row.tool)[0]:
                found = sentence_terms(plain(text))
                terms += found
                tools += [number] * len(found)
        return cls(terms, np.array(tools, dtype=int), len(rows))


class Fit:
    """Weights that were fitted."""

    def __init__(self, poisoned: Windows, harmless: Windows) -> None:
        self.vectorizer = DictVectorizer()
        marked = self.vectorizer.fit_transform(dict.fromkeys(one, 1.0) for one in poisoned.terms + harmless.terms)
        counts = _definitions(marked[: len(poisoned.terms)], poisoned) + _definitions(
            marked[len(poisoned.terms) :], harmless
        )
        says = np.array(
            [not COMMON_WORDS.issuperset(term.split(" ")) for term in self.vectorizer.get_feature_names_out()]
        )
        is_kept = (counts >= FEWEST) & says
        self.vectorizer.restrict(is_kept)
        marked = marked[:, np.flatnonzero(is_kept)]
        contrast = 1 - CONTRAST + CONTRAST * _contrast(marked, len(poisoned.terms))
        rows = (_scale(poisoned.terms + harmless.terms) @ marked @ diags(contrast)).tocsr()
        bad, good = rows[: len(poisoned.terms)], rows[len(poisoned.terms) :]
        first = _fitted(bad, good)
        model = _fitted(bad[_worst(first.decision_function(bad), poisoned)], good)
        self.bias = float(model.intercept_[0])
        self.weights = {
            term: round(float(weight), 2)
            for term, weight in zip(self.vectorizer.get_feature_names_out(), model.coef_[0] * contrast, strict=True)
            if abs(weight) >= SMALLEST
        }

    def scores(self, rows: Sequence[Row]) -> Array:
        """The highest score of each tool, as findings see it."""
        scorer = SentenceScorer(self.bias, list(self.weights.items()))
        return np.array([_highest(scorer, row) for row in rows])


def _highest(scorer: SentenceScorer, row: Row) -> float:
    readings = [plain(text) for _, text in texts_of_tool(row.tool)[0]]
    return max(
        (likeness(found[0], one) for one in readings if (found := scorer.highest(one)) is not None), default=-np.inf
    )


def _definitions(marked: Array, windows: Windows) -> Array:
    """For each term the number of definitions that have it."""
    tools = csr_matrix((np.ones(len(windows.tools)), (windows.tools, np.arange(len(windows.tools)))))
    return np.asarray((tools @ marked > 0).sum(axis=0)).ravel()


def _contrast(marked: Array, poisoned: int) -> Array:
    """For each term how many times as frequent it is on one side as on the other, as a logarithm."""
    bad, good = (np.asarray(rows.sum(axis=0)).ravel() + 1 for rows in (marked[:poisoned], marked[poisoned:]))
    return np.abs(np.log((bad / bad.sum()) / (good / good.sum())))


def _scale(windows: list[list[str]]) -> Array:
    """Rows by the root of their words, as the scorer does it."""
    words = [sum(" " not in term for term in window) for window in windows]
    return diags(1 / np.sqrt(np.maximum(words, SHORTEST_WINDOW)))


def _fitted(bad: Array, good: Array) -> Array:
    rows = vstack([bad, good, csr_matrix((1, bad.shape[1]))])
    is_bad = [*[1] * bad.shape[0], *[0] * good.shape[0], 0]
    weights = [
        *[POISONED * good.shape[0] / bad.shape[0]] * bad.shape[0],
        *[1.0] * good.shape[0],
        EMPTY * good.shape[0],
    ]
    model = LogisticRegression(C=STRENGTH, solver="liblinear", max_iter=3000, random_state=0)
    return model.fit(rows, is_bad, sample_weight=weights)


def _worst(scores: Array, windows: Windows) -> Array:
    """The window with the highest score of each tool, and every other one with a high score."""
    kept = scores > LONG
    for tool in range(windows.count):
        own = np.flatnonzero(windows.tools == tool)
        if own.size:
            kept[own[np.argmax(scores[own])]] = True
    return kept


def main() -> None:
    """Prints how good the weights are, and writes them."""
    rows = {kind: [row for name in names for row in _read(name, kind).rows] for kind, names in FITTED.items()}
    held: dict[bool, list[float]] = {True: [], False: []}
    for fold in range(FOLDS):
        rest = {kind: [row for at, row in enumerate(every) if at % FOLDS != fold] for kind, every in rows.items()}
        fit = Fit(Windows.of(rest[True]), Windows.of(rest[False]))
        for kind, every in rows.items():
            held[kind] += fit.scores(every[fold::FOLDS]).tolist()
    print(f"{FOLDS} folds of {len(rows[True])} poisoned and {len(rows[False])} harmless definitions")
    _tell(held[True], held[False])
    fit = Fit(Windows.of(rows[True]), Windows.of(rows[False]))
    for name, what in JUDGED.items():
        poisoned, harmless = (fit.scores(_read(f"{name}_{one}.json", one == "poisoned").rows) for one in KINDS)
        print(f"{what}: {len(poisoned)} poisoned and {len(harmless)} harmless definitions")
        _tell(poisoned, harmless)
    sets = [CASES / name for names in FITTED.values() for name in names]
    found = {"sets": digest_of(sets), "bias": round(fit.bias, 3), "weights": dict(sorted(fit.weights.items()))}
    WEIGHTS.write_text(json.dumps(found, indent=0, ensure_ascii=True) + "\n")
    print(f"wrote {len(fit.weights)} weights")


def _read(name: str, is_poisoned: bool) -> LabelFile:
    return read_cases(CASES / name, is_poisoned=is_poisoned)


def _tell(poisoned: Sequence[float], harmless: Sequence[float]) -> None:
    for bar in (BAR - 1, BAR - 0.5, BAR, BAR + 0.5, BAR + 1):
        recall = np.mean(np.array(poisoned) > bar)
        flagged = np.mean(np.array(harmless) > bar)
        print(f"  bar {bar:5.2f}: found {recall:.3f}, flagged {flagged:.4f}{'  the bar' if bar == BAR else ''}")


if __name__ == "__main__":
    main()
