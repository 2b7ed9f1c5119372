"""`callgate check`."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from callgate._callgate import Decision, Engine
from callgate.approvals.unanswered import Unanswered
from callgate.cli import credentials, render
from callgate.cli.target import address_of
from callgate.config.document import refuse_special
from callgate.config.engine_form import engine_path
from callgate.config.policies import policy_files, with_every_fault
from callgate.errors import CallgateError, ConfigError, PolicyError
from callgate.outcome import Outcome
from callgate.text import reason_of

EXIT_CODES = {Outcome.ALLOW: 0, Outcome.DENY: 1, Outcome.RATE_LIMITED: 3, Outcome.APPROVAL_REQUIRED: 4}


EXAMPLES: Final = (
    "callgate check --policy policy.yaml --grant demo --tool search --explain",
    "callgate check --config callgate.yaml --grant alice --server aws --tool search",
    "callgate check --target 127.0.0.1:9191 --grant demo --tool create-ami --args @args.json",
)


def check(
    tool: Annotated[str, typer.Option(help="Name of the tool.")],
    grant: Annotated[str | None, typer.Option(help="Id of the grant that is charged.")] = None,
    grant_token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help=f"The caller's token, instead of --grant; else that of {credentials.GRANT_TOKEN}."
        ),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE_OR_DIR", help="Decide by this policy, with new counters.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Decide by this configuration: its grants, policies and catalogue, with new counters."
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Address of a sidecar: HOST:PORT, https://HOST:PORT or unix:PATH."),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help=f"The enforcement point's token, with --target; else that of {credentials.TOKEN}."
        ),
    ] = None,
    tls_ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Use TLS, and trust these authorities (PEM).")
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Use TLS, and present this certificate (PEM).")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="The key of --tls-cert (PEM).")] = None,
    args: Annotated[str, typer.Option(metavar="JSON|@FILE", help="The arguments.")] = "{}",
    server: Annotated[str | None, typer.Option(help="Name of the server; default: srv.")] = None,
    session: Annotated[str | None, typer.Option(help="Id of the session.")] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A label of the grant.")] = None,
    catalogue: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Categories, risks and input schemas, with --policy.")
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, metavar="N", help="Number of decisions in a row.")] = 1,
    explain: Annotated[bool, typer.Option("--explain", help="Print every step and the types of values.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Request a decision; exit code 0 allow, 1 deny, 3 rate limited, 4 approval required, 2 wrong use."""
    if [policy, config, target].count(None) != 2:  # noqa: PLR2004  one of the three is given
        raise typer.BadParameter("give one of --policy, --config and --target", param_hint="--policy")
    call: dict[str, Any] = {
        "grant": grant,
        "tool": tool,
        "args": _arguments(args),
        "server": server,
        "session": session,
        "labels": dict(_label(text) for text in label or ()),
    }
    if grant is None:
        call["grant_token"] = credentials.grant_token(grant_token_file) if policy is None else None
        if call["grant_token"] is None:
            token = f"; or its token: --grant-token-file or {credentials.GRANT_TOKEN}" if policy is None else ""
            message = f"missing --grant: the grant that is charged{token}"
            raise ConfigError(message)
    elif grant_token_file is not None:
        raise typer.BadParameter("give either --grant or --grant-token-file", param_hint="--grant")
    if policy is None and catalogue is not None:
        raise typer.BadParameter("works with --policy alone", param_hint="--catalogue")
    if target is not None:
        if explain:
            message = "works with --policy and --config; a sidecar does not tell"
            raise typer.BadParameter(message, param_hint="--explain")
        # gRPC takes long to import, and a decision by --policy needs none of it.
        from callgate.client import Client  # noqa: PLC0415

        tls = credentials.tls(tls_ca, tls_cert, tls_key)
        with Client(
            str(address_of(target, "--target")), token=credentials.token(token_file), credentials=tls
        ) as client:
            decision = _ask(lambda: _reached(client.check(**call)), repeat, as_json=as_json)
    else:
        _need_target({"--token-file": token_file, "--tls-ca": tls_ca, "--tls-cert": tls_cert, "--tls-key": tls_key})
        engine = _engine(config) if policy is None else _engine_of(policy, catalogue)
        if explain:
            if repeat > 1:
                raise typer.BadParameter("takes no units, so there is nothing to repeat", param_hint="--explain")
            explanation = engine.explain(**call)
            render.explanation(explanation, as_json=as_json)
            decision = explanation.decision
        else:
            decision = _ask(lambda: engine.check(**call), repeat, as_json=as_json)
        _say_who_is_asked(decision, as_text=repeat == 1 and not as_json)
    raise typer.Exit(EXIT_CODES[decision.outcome])


def _engine(config: Path | None) -> Engine:
    """The engine of a configuration, with counters in memory: those of a sidecar stay as they are.

    Raises:
        ConfigError: The configuration cannot be served.
    """
    # As above: a decision by --policy needs none of it.
    from callgate.config.files import Files  # noqa: PLC0415
    from callgate.control.sidecar import Source  # noqa: PLC0415

    return Source(config, None).read(Files()).engine(on_trial=True, approvals=Unanswered().queue)


def _engine_of(policy: Path, catalogue: Path | None) -> Engine:
    """The engine of a policy, with new counters.

    Raises:
        CallgateError: A file cannot be read or has faults; every fault of the policies.
    """
    files = policy_files(policy)
    if catalogue is not None:
        refuse_special(catalogue)
    try:
        with engine_path(policy) as path:
            return Engine.from_file(path, catalogue, approvals=Unanswered().queue)
    except PolicyError as error:
        raise with_every_fault(error, files, catalogue) from None


def _ask(ask: Callable[[], Decision], repeat: int, *, as_json: bool) -> Decision:
    """Requests the decisions and prints them; returns the last one."""
    decision = ask()
    if repeat == 1:
        render.decision(decision, as_json=as_json)
        return decision
    outcomes, shadows = Counter[Outcome](), Counter[Outcome]()
    for number in range(1, repeat + 1):
        decision = ask() if number > 1 else decision
        outcomes[decision.outcome] += 1
        if decision.shadow is not None:
            shadows[decision.shadow.outcome] += 1
        render.line(number, decision, as_json=as_json)
    render.summary(outcomes, shadows, as_json=as_json)
    return decision


def _say_who_is_asked(decision: Decision, *, as_text: bool) -> None:
    """Tells the reader that the approval that the message names is none that people can find."""
    if decision.outcome is Outcome.APPROVAL_REQUIRED:
        note = "nobody was asked: without --target no approval is written, and none has this id"
        # Programs read the output as JSON, or as one line for each decision.
        typer.echo(f"  {note}" if as_text else f"callgate: {note}", err=not as_text)


def _need_target(options: dict[str, Path | None]) -> None:
    for option, value in options.items():
        if value is not None:
            raise typer.BadParameter("works with --target alone", param_hint=option)


def _reached(decision: Decision) -> Decision:
    """The decision of a sidecar; a decision that the client made up without one is an error here."""
    from callgate.client import UNAVAILABLE  # noqa: PLC0415  as above
    from callgate.client.base import CANNOT_CONNECT  # noqa: PLC0415  as above

    if decision.rule == UNAVAILABLE:
        # Not in the message itself, which a model may read.
        hint = "; check --target, or start a sidecar with `callgate serve`"
        raise CallgateError(decision.message + (hint if f": {CANNOT_CONNECT}: " in decision.message else ""))
    return decision


def _arguments(text: str) -> bytes:
    """The bytes of the arguments, unchanged: the decision validates them."""
    if not text.startswith("@"):
        return os.fsencode(text)
    path = Path(text.removeprefix("@"))
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"cannot read `{path}`: {reason_of(error)}"
        raise ConfigError(message) from None


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"`{text}`: expected NAME=VALUE", param_hint="--label")
    return name, value
