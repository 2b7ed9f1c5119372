"""Tests of your own policies: an engine with a clock that tests move, assertions, and a pytest fixture.

    def test_charges(callgate_policy):
        policy = callgate_policy("policy.yaml")
        policy.assert_allowed(grant="alice", tool="create_charge", args={"amount": 500})
        policy.assert_denied(grant="alice", tool="create_charge", args={"amount": 50_000})
        policy.clock.advance(minutes=1)

The fixture `callgate_policy` is there wherever callgate and pytest are installed.
"""

from callgate.testing.clock import Clock
from callgate.testing.policy import PolicyUnderTest

__all__ = ["Clock", "PolicyUnderTest"]
