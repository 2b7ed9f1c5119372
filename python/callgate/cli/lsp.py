"""`callgate lsp`."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from callgate.config.faults import InvalidConfigError
from callgate.config.files import Files
from callgate.control.review import Finding, review_catalogue, review_configuration
from callgate.errors import CallgateError, ConfigError

if TYPE_CHECKING:
    from callgate.workbench.lsp.checks import Problem
    from callgate.workbench.lsp.kinds import Kind

EXAMPLES: Final = ("callgate lsp",)


def lsp() -> None:
    """Serve an editor: faults and findings as you type, completion, meanings, renaming of counters."""
    try:
        from callgate.workbench.lsp.features import serve  # noqa: PLC0415  few installations have its library
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] not in {"pygls", "lsprotocol"}:
            raise
        message = "`callgate lsp` needs `pygls`; install it with `pip install 'callgate[lsp]'`"
        raise ConfigError(message) from None
    serve(_review)


def _review(kind: "Kind", path: Path) -> Iterator["Problem"]:
    """The problems of a saved file; those of other files that it names are told where it names them, or at its top."""
    from callgate.workbench.lsp.checks import Problem, problem_of  # noqa: PLC0415  as above
    from callgate.workbench.lsp.kinds import Kind  # noqa: PLC0415  as above

    if kind is Kind.TESTS:
        from callgate.workbench.policy_tests import Override, load_suites  # noqa: PLC0415  as above

        try:
            load_suites([path], Override(), Files())
        except InvalidConfigError as error:
            for fault in error.faults:
                if fault.file in {None, str(path)}:
                    yield problem_of(fault, "error")
                else:
                    yield Problem(1, 1, "error", str(fault))
        except CallgateError as error:
            yield Problem(1, 1, "error", str(error))
        return
    found: Iterable[Finding] = review_configuration(path) if kind is Kind.CONFIG else review_catalogue(path)
    for one in found:
        severity = "info" if one.severity == "note" else one.severity
        if one.file in {None, str(path)}:
            yield Problem(one.line or 1, one.column or 1, severity, one.text)
        else:
            yield Problem(1, 1, severity, str(one))
