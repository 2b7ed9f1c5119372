"""Results as JUnit XML, as continuous integration servers read it."""

from __future__ import annotations

import re
from datetime import timezone
from itertools import groupby
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from callgate.text import masked, visible
from callgate.workbench.policy_tests.reports.lines import cause_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from callgate.workbench.policy_tests.running import CaseResult
    from callgate.workbench.policy_tests.suite_run import RunResult

_NO_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML document may have, not even escaped."""

_TOP: Final = "callgate test"
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def junit_xml(result: RunResult, began: datetime, hostname: str) -> str:
    """One suite for each file of tests; `began` and `hostname` are attributes that the common schema requires."""
    top = ET.Element("testsuites", {"name": _TOP, **_numbers(result.cases)})
    for file, group in groupby(result.cases, key=lambda case: case.file):
        cases = list(group)
        suite = _add_suite(top, file, began, hostname, _numbers(cases))
        for case in cases:
            _add_case(suite, case)
    return _document(top)


def failed_junit_xml(message: str, began: datetime, hostname: str) -> str:
    """One error in place of tests, because no test could be run."""
    numbers = {"tests": "1", "failures": "0", "errors": "1", "skipped": "0", "time": "0.000"}
    top = ET.Element("testsuites", {"name": _TOP, **numbers})
    suite = _add_suite(top, _TOP, began, hostname, numbers)
    case = ET.SubElement(suite, "testcase", name="load", classname=_TOP, time="0.000")
    ET.SubElement(case, "error", message=_text(message), type="load").text = _text(message)
    return _document(top)


def _document(top: ET.Element) -> str:
    for suite in top:
        ET.SubElement(suite, "system-out")
        ET.SubElement(suite, "system-err")
    ET.indent(top)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(top, encoding="unicode")}\n'


def _add_suite(top: ET.Element, name: str, began: datetime, hostname: str, numbers: Mapping[str, str]) -> ET.Element:
    timestamp = began.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    texts = {"name": _text(name), "timestamp": timestamp, "hostname": _text(hostname)}
    suite = ET.SubElement(top, "testsuite", {**texts, **numbers})
    ET.SubElement(suite, "properties")
    return suite


def _add_case(suite: ET.Element, case: CaseResult) -> None:
    element = ET.SubElement(
        suite,
        "testcase",
        name=_text(case.name),
        # The usual separator of classes is a point, which file names have as well.
        classname=_text(case.file),
        file=_text(case.file),
        line=str(case.place.line),
        time=f"{case.duration_s:.3f}",
    )
    failure = case.failure
    if failure is not None:
        first = failure.differences[0] if failure.differences else None
        message = failure.reason if first is None else f"{first.field}: expected {first.expected}, got {first.got}"
        kind = "step" if first is None else first.field
        node = ET.SubElement(element, "failure", message=_text(message), type=_text(kind))
        node.text = _text("\n".join(cause_lines(failure, explained=True)))


def _numbers(cases: Sequence[CaseResult]) -> dict[str, str]:
    return {
        "tests": str(len(cases)),
        "failures": str(sum(not case.has_passed for case in cases)),
        "errors": "0",
        "skipped": "0",
        "time": f"{sum(case.duration_s for case in cases):.3f}",
    }


def _text(text: str) -> str:
    """A text that XML can hold, with everything visible that a server would show, and without secrets."""
    return _NO_XML.sub(_REPLACEMENT, "\n".join(visible(line) for line in masked(text).split("\n")))
