"""`guard`: functions that run only if the policy allows the call."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest

import callgate
from callgate import AsyncClient, Engine, NotAllowedError, Server, guard

POLICY: dict[str, Any] = {
    "version": "1",
    "name": "guarded",
    "default": "deny",
    "tools": {
        "charge": {
            "require": [{"conditions": [{"path": "args.amount", "op": "lte", "value": 100}]}],
            "limits": [{"counter": "charges", "window": "hour", "max": 2}],
        }
    },
}


@pytest.fixture
def engine() -> Engine:
    return Engine.from_dict(POLICY)


def test_an_allowed_call_runs_and_a_denied_one_does_not(engine: Engine) -> None:
    charged = []

    @guard(engine, grant="alice")
    def charge(amount: int, *, currency: str = "eur") -> str:
        """Takes money."""
        charged.append(amount)
        return currency

    assert charge(100) == "eur"
    assert (charge.__name__, charge.__doc__) == ("charge", "Takes money.")
    with pytest.raises(NotAllowedError) as caught:
        charge(amount=101, currency="usd")
    assert caught.value.decision.rule == "/tools/charge/require/args.amount-lte"
    assert str(caught.value) == caught.value.decision.message != ""
    assert isinstance(caught.value, callgate.CallgateError)
    assert charged == [100]


def test_the_policy_sees_defaults_and_keywords(engine: Engine) -> None:
    @guard(engine, grant="alice", tool="charge", without=("connection",))
    def pay(connection: str, amount: int = 101, **more: Any) -> tuple[str, int, Any]:
        return connection, amount, more

    with pytest.raises(NotAllowedError):
        pay("c")
    assert pay("c", 1, note="x") == ("c", 1, {"note": "x"})


def test_no_argument_hides_behind_another_of_its_name(engine: Engine) -> None:
    @guard(engine, grant="alice", tool="charge")
    def pay(amount: int, /, **more: Any) -> tuple[int, Any]:
        return amount, more

    with pytest.raises(TypeError, match="two arguments named `amount`"):
        pay(101, amount=1)


def test_units_come_back_after_the_exceptions_that_say_so(engine: Engine) -> None:
    failures: list[Exception] = [ConnectionRefusedError(), ValueError()]

    @guard(engine, grant="alice", roll_back_on=(ConnectionRefusedError,))
    def charge(amount: int) -> int:
        if failures:
            raise failures.pop(0)
        return amount

    with pytest.raises(ConnectionRefusedError):
        charge(1)
    with pytest.raises(ValueError):  # noqa: PT011  the function's own
        charge(1)
    # One of two units is taken: the first came back.
    assert charge(1) == 1
    with pytest.raises(NotAllowedError) as caught:
        charge(1)
    assert caught.value.decision.outcome == "rate_limited"


def test_the_grant_and_the_session_may_be_those_of_the_call(engine: Engine) -> None:
    user: contextvars.ContextVar[str] = contextvars.ContextVar("user")

    @guard(engine, grant=user.get, session=lambda: "s")
    def charge(amount: int) -> int:
        return amount

    for name in ("alice", "bob"):
        user.set(name)
        assert [charge(1), charge(2)] == [1, 2]
        with pytest.raises(NotAllowedError):
            charge(3)


def test_coroutine_functions_ask_an_engine_or_a_sidecar(engine: Engine) -> None:
    def guarded(decider: Any, grant: str) -> Any:
        @guard(decider, grant=grant, roll_back_on=(ConnectionRefusedError,))
        async def charge(amount: int) -> int:
            await asyncio.sleep(0)
            if amount == 13:
                raise ConnectionRefusedError
            return amount

        return charge

    async def use(charge: Any) -> None:
        with pytest.raises(ConnectionRefusedError):
            await charge(13)
        assert [await charge(1), await charge(2)] == [1, 2]
        with pytest.raises(NotAllowedError):
            await charge(3)

    async def against(server: Server) -> None:
        assert server.address is not None
        async with AsyncClient(server.address) as client:
            await use(guarded(client, "bob"))

    asyncio.run(use(guarded(engine, "alice")))
    with Server(engine, listen="127.0.0.1:0") as server:
        asyncio.run(against(server))


def test_mistakes_are_told_where_the_function_is_decorated(engine: Engine) -> None:
    with pytest.raises(TypeError, match="`conection` in `without` is no parameter of `charge"):

        @guard(engine, grant="alice", without=("conection",))
        def charge(connection: object) -> None: ...

    client = AsyncClient("127.0.0.1:1")
    with pytest.raises(TypeError, match="is no coroutine function"):
        guard(client, grant="alice")(lambda amount: amount)


def test_an_argument_that_is_no_json_stops_the_call(engine: Engine) -> None:
    @guard(engine, grant="alice")
    def charge(amount: object) -> None:
        pytest.fail(f"the function ran with {amount}")

    with pytest.raises(TypeError):
        charge(object())


def test_what_cannot_decide_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match=r"expected an `Engine`, a `Client` or an `AsyncClient` .*, got int"):
        guard(3, grant="a")  # type: ignore[arg-type]
