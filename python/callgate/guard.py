"""A decorator that asks for a decision before each call of a function."""

from __future__ import annotations

import functools
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, cast

from callgate.errors import NotAllowedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from inspect import BoundArguments
    from typing import ParamSpec, Protocol, TypeVar

    from callgate._callgate import Decision

    Parameters = ParamSpec("Parameters")
    Result = TypeVar("Result")

    class Decider(Protocol):
        """An `Engine`, a `Client`, or an `AsyncClient`, whose methods are coroutines."""

        @property
        def check(self) -> Callable[..., Decision | Awaitable[Decision]]: ...  # noqa: D102
        @property
        def roll_back(self) -> Callable[[str], bool | Awaitable[bool]]: ...  # noqa: D102


def guard(
    decider: Decider,
    *,
    grant: str | Callable[[], str] | None = None,
    grant_token: str | Callable[[], str] | None = None,
    tool: str | None = None,
    server: str | None = None,
    session: str | Callable[[], str] | None = None,
    without: tuple[str, ...] = (),
    roll_back_on: tuple[type[BaseException], ...] = (),
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Lets a function run only if the policy allows the call.

    The arguments of the call, by their names and with the function's defaults, are those that the policy judges. They
    must be JSON values. Arguments of a ``**keywords`` parameter stand beside the others, as in the call itself.

    Args:
        decider: An `Engine`, a `Client`, or for coroutine functions an `AsyncClient`.
        grant: Id of the grant that is charged, or a function that returns it when the call begins: for example the
            `get` of a `contextvars.ContextVar`.
        grant_token: The caller's token instead of `grant`, or a function that returns it.
        tool: Tool name in the policy; the function's name if None.
        server: Server name; see `Engine.check`.
        session: Session id, or a function that returns it.
        without: Parameters that are no arguments of the tool, such as ``self`` or a database connection.
        roll_back_on: Exceptions of the function after which its units are given back. Name only exceptions that say
            that nothing was done.

    Raises:
        NotAllowedError: (from the decorated function) The call is not allowed; it has the decision, and its text is
            the decision's message.
        TypeError: `decider` is nothing of that kind, or it answers with coroutines and the function is no coroutine
            function; or a name in `without` is no parameter of the function.
    """
    # Here and below, because it takes a third of `import callgate`, whose other parts do without.
    from inspect import iscoroutinefunction  # noqa: PLC0415

    if not callable(getattr(decider, "check", None)):
        error = (
            f"expected an `Engine`, a `Client` or an `AsyncClient` as the first argument, got {type(decider).__name__}"
        )
        raise TypeError(error)
    fixed = {"server": server, "reserve": bool(roll_back_on)}
    given = {"grant": grant, "grant_token": grant_token, "session": session}

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        question = _Question(decider, function, {"tool": tool or function.__name__, **fixed}, given, without)
        if iscoroutinefunction(function):
            return cast("Callable[Parameters, Result]", _guarded_coroutine(question, function, roll_back_on))
        if iscoroutinefunction(decider.check):
            message = f"`{function.__name__}` is no coroutine function: guard it with an `Engine` or a `Client`"
            raise TypeError(message)
        return _guarded(question, function, roll_back_on)

    return decorate


class _Question:
    """The question that is asked before each call of one function."""

    def __init__(
        self,
        decider: Decider,
        function: Callable[..., object],
        fixed: dict[str, Any],
        given: dict[str, Any],
        without: tuple[str, ...],
    ) -> None:
        self.decider = decider
        self._fixed = fixed
        self._given = given
        self._without = without
        from inspect import Parameter, signature  # noqa: PLC0415

        self._signature = signature(function)
        kinds = ((name, parameter.kind) for name, parameter in self._signature.parameters.items())
        self._spread = {name for name, kind in kinds if kind is Parameter.VAR_KEYWORD}
        for name in without:
            if name not in self._signature.parameters:
                message = f"`{name}` in `without` is no parameter of `{function.__name__}{self._signature}`"
                raise TypeError(message)

    def ask(self, values: tuple[Any, ...], named: dict[str, Any]) -> Any:  # noqa: ANN401
        """The decision, or an awaitable of it."""
        given = {name: value() if callable(value) else value for name, value in self._given.items()}
        arguments = _arguments(self._signature.bind(*values, **named), self._without, self._spread)
        return self.decider.check(**self._fixed, **given, args=arguments)


def _guarded(
    question: _Question, function: Callable[Parameters, Result], roll_back_on: tuple[type[BaseException], ...]
) -> Callable[Parameters, Result]:
    @functools.wraps(function)
    def guarded(*values: Parameters.args, **named: Parameters.kwargs) -> Result:
        decision: Decision = question.ask(values, named)
        if not decision.allowed:
            raise NotAllowedError(decision)
        try:
            return function(*values, **named)
        except roll_back_on:
            if decision.reservation is not None:
                question.decider.roll_back(decision.reservation)
            raise

    return guarded


def _guarded_coroutine(
    question: _Question, function: Callable[..., Any], roll_back_on: tuple[type[BaseException], ...]
) -> Callable[..., Any]:
    @functools.wraps(function)
    async def guarded(*values: Any, **named: Any) -> Any:  # noqa: ANN401
        decision: Decision = await _awaited(question.ask(values, named))
        if not decision.allowed:
            raise NotAllowedError(decision)
        try:
            return await function(*values, **named)
        except roll_back_on:
            if decision.reservation is not None:
                await _awaited(question.decider.roll_back(decision.reservation))
            raise

    return guarded


def _arguments(bound: BoundArguments, without: tuple[str, ...], spread: set[str]) -> dict[str, Any]:
    """The arguments by name, with defaults; those of a parameter in `spread` are a mapping."""
    bound.apply_defaults()
    arguments: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        if name in without:
            continue
        if name in spread:
            twice = next((key for key in value if key in bound.arguments), None)
            if twice is not None:
                # The policy would judge one of them, and the function might use the other.
                message = f"the call has two arguments named `{twice}`"
                raise TypeError(message)
            arguments.update(value)
        else:
            arguments[name] = value
    return arguments


async def _awaited(answer: Any) -> Any:  # noqa: ANN401
    """The answer of an `Engine` as it is, that of an `AsyncClient` awaited."""
    return await answer if isinstance(answer, Awaitable) else answer
