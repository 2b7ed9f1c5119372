"""Steps of policy tests: calls, time, people, permits, roll-backs, freezes and reloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.policy_tests import failures, run_file, run_text

if TYPE_CHECKING:
    from pathlib import Path

POLICY = """\
policy:
  version: "1"
  default: deny
  tools:
    image: {rate_limit: 2/minute}
    pay: {action: require_approval, approval: {timeout: 1h, valid: 10m}}
    two: {action: require_approval, approval: {count: 2, approvers: [finance], reason: required}}
    order:
      action: require_approval
      approval: {permit: {max_uses: 3, max_duration: 2h}}
      deny_if: [{conditions: [{path: args.amount, op: gt, value: 100}]}]
    over: {limits: [{counter: over, window: hour, max: 1, at_max: require_approval}]}
people: {alice: [finance], bob: [finance], carol: [sales]}
calls:
  order: {tool: order, args: {id: a, amount: 5}}
tests:
- name: test
  steps:
"""


def run(folder: Path, *steps: str) -> tuple[int, str, list[tuple[str, str, str]]] | None:
    """The failure of one test with these steps."""
    lines = "\n".join(f"  - {step}" for step in steps)
    return failures(run_text(folder, f"{POLICY}{lines}\n")).get("test")


def test_units_come_back_with_time(tmp_path: Path) -> None:
    steps = [
        "{call: {tool: image}, times: 2, expect: {outcome: allow, remaining: {image_rate: 0}}}",
        "{wait: 59s}",
        "{call: {tool: image}, expect: {outcome: rate_limited, retry_after: 1s, remaining: {image_rate: 0}}}",
        "{at: 2026-01-01T00:01:00Z}",
        "{call: {tool: image}, expect: {outcome: allow, rule: '', remaining: {image_rate: 1}}}",
    ]
    assert run(tmp_path, *steps) is None
    # A millisecond earlier it is refused.
    steps[3] = "{at: 2026-01-01T00:00:59.999Z}"
    step, _, found = run(tmp_path, *steps) or (0, "", [])
    assert step == 5
    assert found == [
        ("outcome", "allow", "rate_limited"),
        ("rule", "nothing", "/tools/image/limits/image_rate"),
        ("remaining.image_rate", "1", "0"),
    ]


def test_a_roll_back_gives_units_back(tmp_path: Path) -> None:
    image = "{call: {tool: image}, expect: allow, name: %s}"
    again = [image % "a", image % "b", "{roll_back: a}", image % "c", "{call: {tool: image}, expect: rate_limited}"]
    assert run(tmp_path, *again) is None
    assert run(tmp_path, image % "a", "{roll_back: last}", "{roll_back: last}") == (
        3,
        "the time to roll it back is over, or it was rolled back already",
        [],
    )
    late = run(tmp_path, image % "a", "{wait: 31s}", "{roll_back: last}")
    assert late is not None
    assert late[0] == 3


def test_an_approval_is_for_one_call_and_ends(tmp_path: Path) -> None:
    pay, asks = "{call: {tool: pay, args: {n: 1}}, expect: allow}", "{call: {tool: pay, args: {n: 1}}, expect: %s}"
    asks = asks % "{outcome: approval_required, rule: /tools/pay/approval}"
    assert run(tmp_path, asks, "{approve: alice}", pay, asks) is None
    assert run(tmp_path, asks, "{approve: alice, expect: approved}", "{wait: 599s}", pay) is None
    assert run(tmp_path, asks, "{approve: alice}", "{wait: 10m}", asks) is None
    # A pending one ends too, and another is made.
    refused = run(tmp_path, asks, "{wait: 1h}", "{approve: alice}")
    assert refused is not None
    assert "expired" in refused[1]
    # Another call is not approved with it.
    other = "{call: {tool: pay, args: {n: 2}}, expect: approval_required}"
    assert run(tmp_path, asks, "{approve: alice}", other, pay) is None


def test_a_denial_holds_for_its_time(tmp_path: Path) -> None:
    asks, denied = "{call: {tool: pay}, expect: approval_required}", "{call: {tool: pay}, expect: {outcome: deny, %s}}"
    denied = denied % "message_contains: too much"
    deny = "{deny: alice, reason: too much, expect: denied}"
    assert run(tmp_path, asks, deny, denied, "{wait: 3599s}", denied, "{wait: 1s}", asks) is None


def test_people_in_groups_and_reasons(tmp_path: Path) -> None:
    asks, allow = "{call: {tool: two}, expect: approval_required}", "{call: {tool: two}, expect: allow}"
    yes = "reason: it is fine"
    good = [asks, f"{{approve: alice, {yes}, expect: pending}}", asks, f"{{approve: bob, {yes}}}", allow]
    assert run(tmp_path, *good) is None
    assert run(tmp_path, asks, f"{{approve: carol, {yes}, expect: refused}}") is None
    assert run(tmp_path, asks, f"{{approve: carol, {yes}, groups: [finance], expect: pending}}") is None
    assert run(tmp_path, asks, "{approve: alice, expect: refused}") is None
    # One person is not two.
    once = run(tmp_path, asks, f"{{approve: alice, {yes}}}", f"{{approve: alice, {yes}, expect: approved}}")
    assert once == (3, "", [("expect", "approved", "pending")])
    wrong = run(tmp_path, asks, f"{{approve: carol, {yes}}}")
    assert wrong is not None
    assert wrong[1] == "the answer is refused: this approval asks people of other groups: `finance`"


def test_an_answer_names_its_call(tmp_path: Path) -> None:
    calls = [f"{{call: {{tool: pay, args: {{n: {n}}}}}, expect: approval_required, name: call{n}}}" for n in (1, 2)]
    allow = [f"{{call: {{tool: pay, args: {{n: {n}}}}}, expect: %s}}" for n in (1, 2)]
    first = [*calls, "{approve: alice, of: call1}", allow[1] % "approval_required", allow[0] % "allow"]
    assert run(tmp_path, *first) is None
    last = [*calls, "{approve: alice}", allow[0] % "approval_required", allow[1] % "allow"]
    assert run(tmp_path, *last) is None
    nothing = run(tmp_path, "{approve: alice, expect: approved}")
    assert nothing == (1, "no call before waits for an approval", [])


def test_permits(tmp_path: Path) -> None:
    asks, allow = "{call: order, expect: approval_required}", "{call: order, expect: allow}"
    other = "{call: {tool: order, args: {id: %s, amount: %s}}, expect: %s}"
    assert run(tmp_path, asks, "{permit: alice, expect: approved}", allow, allow, allow, asks) is None
    assert run(tmp_path, asks, "{permit: alice, uses: 1}", allow, asks) is None
    assert run(tmp_path, asks, "{permit: alice, duration: 5m}", "{wait: 5m}", asks) is None
    assert run(tmp_path, asks, "{permit: alice}", "{wait: 7199s}", allow, "{wait: 1s}", asks) is None
    terms = "{permit: alice, terms: {amount: {at_most: 7.5}, id: {one_of: [a, b]}}}"
    within = [other % ("b", "7.5", "allow"), other % ("c", "5", "approval_required")]
    assert run(tmp_path, asks, terms, *within, other % ("b", "7.6", "approval_required")) is None
    some = "{permit: alice, terms: {amount: {one_of: [5, 7.5]}}}"
    assert run(tmp_path, asks, some, other % ("a", "7.5", "allow"), other % ("a", "7", "approval_required")) is None
    # Rules judge each call as ever.
    assert run(tmp_path, asks, "{permit: alice, terms: {amount: {at_most: 500}}}", other % ("a", "101", "deny")) is None
    assert run(tmp_path, asks, "{permit: alice, uses: 4, expect: refused}") is None
    assert run(tmp_path, asks, "{permit: alice, terms: {amount: any}, expect: refused}") is None
    none = "{call: {tool: pay}, expect: approval_required}"
    assert run(tmp_path, none, "{permit: alice, expect: refused}") is None


def test_a_roll_back_gives_the_use_of_an_approval_back(tmp_path: Path) -> None:
    asks, allow = "{call: {tool: pay}, expect: approval_required}", "{call: {tool: pay}, expect: allow}"
    # Though time passes right after it.
    back = [asks, "{approve: alice}", "{wait: 599s}", allow, "{roll_back: last}", "{wait: 1ms}", allow]
    assert run(tmp_path, *back) is None
    assert run(tmp_path, asks, "{approve: alice}", allow, "{roll_back: last}", allow, asks) is None


def test_units_above_max(tmp_path: Path) -> None:
    allow, asks = "{call: {tool: over}, expect: %s}", "{call: {tool: over}, expect: approval_required}"
    over = allow % "{outcome: allow, remaining: {over: 0}, over: {over: 1}}"
    assert run(tmp_path, allow % "allow", asks, "{approve: carol}", over) is None


def test_freezes(tmp_path: Path) -> None:
    allow, frozen = "{call: {tool: image}, expect: allow}", "{call: {tool: image}, expect: {rule: (frozen)}}"
    freeze = "{freeze: {grant: test, reason: an incident, duration: 5m}}"
    assert run(tmp_path, freeze, frozen, "{wait: 299999ms}", frozen, "{wait: 1ms}", allow) is None
    assert run(tmp_path, "{freeze: {}}", frozen, "{thaw: {}}", allow) is None
    assert run(tmp_path, "{freeze: {server: srv, tool: i*}}", frozen, "{thaw: {server: srv, tool: i*}}", allow) is None
    assert run(tmp_path, "{thaw: {}}", allow) == (1, "there is no freeze with these names", [])


def test_a_reload_keeps_counts_and_ends_what_waits(tmp_path: Path) -> None:
    other = "{version: '1', default: deny, tools: {image: {rate_limit: 3/minute}, pay: {}}}"
    allow = "{call: {tool: image}, times: %d, expect: %s}"
    pays = [
        "{call: {tool: pay}, expect: approval_required}",
        f"{{reload: {other}}}",
        "{call: {tool: pay}, expect: allow}",
    ]
    assert (
        run(tmp_path, allow % (2, "allow"), f"{{reload: {other}}}", allow % (1, "allow"), allow % (1, "rate_limited"))
        is None
    )
    assert run(tmp_path, *pays, "{approve: alice, expect: refused}") is None
    path = tmp_path / "later.yaml"
    path.write_text("version: '1'\ndefault: allow\n")
    assert (
        run(tmp_path, "{call: {tool: q}, expect: deny}", "{reload: later.yaml}", "{call: {tool: q}, expect: allow}")
        is None
    )


def test_each_test_begins_anew(tmp_path: Path) -> None:
    text = POLICY + "  - {call: {tool: image}, times: 2, expect: allow}\n  - {freeze: {}}\n"
    again = "- {name: again, call: {tool: image}, times: 2, expect: allow}\n"
    result = run_text(tmp_path, text + again)
    assert (result.passed, failures(result)) == (2, {})


@pytest.mark.parametrize(
    ("expect", "found"),
    [
        ("deny", [("outcome", "deny", "allow")]),
        ("{rule: /tools/image/limits/image_rat}", [("rule", "/tools/image/limits/image_rat", None)]),
        ("{message: no}", [("message", "no", "nothing")]),
        ("{message_contains: no}", [("message_contains", "no", "nothing")]),
        ("{remaining: {image_rate: 0.5}}", [("remaining.image_rate", "0.5", "1")]),
        ("{remaining: {calls: 1}}", [("remaining.calls", "1", "no such limit, only image_rate")]),
        ("{over: {image_rate: 1}}", [("over.image_rate", "1", "0")]),
        ("{retry_after: 1m}", [("retry_after", "1m", "nothing")]),
        ("{policy: main}", [("policy", "main", "policy")]),
        ("{shadow: deny}", [("shadow", "deny", "none")]),
        ("{shadow: {outcome: deny, rule: /x}}", [("shadow.outcome", "deny", "none"), ("shadow.rule", "/x", "nothing")]),
    ],
)
def test_each_field_can_fail(tmp_path: Path, expect: str, found: list[tuple[str, str, str | None]]) -> None:
    failure = run(tmp_path, f"{{call: {{tool: image}}, expect: {expect}}}")
    assert failure is not None
    got = [one if wanted[2] is not None else (*one[:2], None) for one, wanted in zip(failure[2], found, strict=True)]
    assert got == found


def test_a_limit_of_a_call_without_limits(tmp_path: Path) -> None:
    failure = run(tmp_path, "{call: {tool: nix}, expect: {remaining: {image_rate: 1}}}")
    assert failure == (1, "", [("remaining.image_rate", "1", "no limit")])


def test_a_rule_that_is_not_there_is_told(tmp_path: Path) -> None:
    failure = run(tmp_path, "{call: {tool: nix}, expect: {rule: /tools/imag/limits/image_rate}}")
    assert failure is not None
    assert failure[2][0][2] == (
        "(default deny); no policy has the rule that is expected: did you mean `/tools/image/limits/image_rate`?"
    )


def test_shadow(tmp_path: Path) -> None:
    text = """\
policy: {version: '1', mode: shadow, default: deny, tools: {a: {}, b: {action: deny}}}
tests:
- {name: b, call: {tool: b}, expect: {outcome: allow, shadow: {outcome: deny, rule: /tools/b/action}}}
- {name: c, call: {tool: c}, expect: {shadow: deny}}
- {name: a, call: {tool: a}, expect: {shadow: none}}
"""
    assert failures(run_text(tmp_path, text)) == {}


def test_categories_and_input_schemas_of_a_catalogue(tmp_path: Path) -> None:
    text = """\
policy: {version: '1', default: deny, categories: {Read: {schema: input}, Destructive: {hide: true}}}
catalogue:
  version: '1'
  servers:
    aws: {tools: {look: {category: Read, input_schema: {required: [id]}}, drop: {category: Destructive}}}
defaults: {server: aws}
tests:
- {name: look, call: {tool: look, args: {id: 1}}, expect: allow}
- {name: invalid, call: {tool: look}, expect: {rule: /categories/Read/schema}}
- {name: drop, call: {tool: drop}, expect: {rule: (hidden)}}
- {name: elsewhere, call: {tool: look, args: {id: 1}, server: gcp}, expect: {rule: (default deny)}}
"""
    assert failures(run_text(tmp_path, text)) == {}


def test_a_folder_of_policies_has_one_for_each_server(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    for server, default in (("one", "allow"), ("two", "deny")):
        (tmp_path / "policies" / f"{server}.yaml").write_text(f"version: '1'\ndefault: {default}\n")
    text = """\
policy: policies
tests:
- {name: one, call: {tool: a, server: one}, expect: {outcome: allow, policy: one}}
- {name: two, call: {tool: a, server: two}, expect: {outcome: deny, policy: two}}
- {name: no, call: {tool: a, server: three}, expect: {rule: (unknown server)}}
"""
    assert failures(run_text(tmp_path, text)) == {}


CONFIGURATION = """\
servers: {aws: {policy: main, upstream: {url: "https://x.example/mcp", headers: {authorization: {env: NOT_SET}}}}}
policies: {main: main.yaml}
tls: {cert: not-here.pem, key: not-here.key}
approvals: {mask: [args.pin], pending_per_grant: 1}
reservations: {ttl: 5s}
grants:
- id: alice
  server: aws
  policy: main
  labels: {team: red}
  owner: {issuer: local, subject: ann}
  token_hash: "0000000000000000000000000000000000000000000000000000000000000000"
"""

OF_CONFIGURATION = """\
config: callgate.yaml
defaults: {server: aws, grant: alice}
people: {ann: [], bo: []}
calls: {pay: {tool: pay, args: {pin: 1}}}
tests:
- {name: label, call: {tool: red}, expect: allow}
- {name: grant, call: {tool: red, grant: zed}, expect: {rule: (unknown grant)}}
- {name: server, call: {tool: red, server: gcp}, expect: {rule: (unknown server)}}
- name: owner
  steps:
  - {call: pay, expect: approval_required}
  - {approve: ann, expect: refused}
  - {permit: bo, expect: refused}
  - {permit: bo, terms: {pin: any}}
  - {call: {tool: pay, args: {pin: 2}}, expect: allow}
- name: capacity
  steps:
  - {call: pay, expect: approval_required}
  - {call: {tool: pay}, expect: {rule: (approval capacity)}}
- name: reservations
  steps:
  - {call: {tool: red}, expect: allow}
  - wait: 5s
  - {roll_back: last}
"""


def test_a_configuration_brings_servers_grants_and_bounds(tmp_path: Path) -> None:
    (tmp_path / "callgate.yaml").write_text(CONFIGURATION)
    (tmp_path / "main.yaml").write_text(
        "version: '1'\ndefault: deny\ntools:\n"
        "  pay: {action: require_approval, approval: {permit: {max_uses: 2, max_duration: 1h}}}\n"
        "  red: {require: [{conditions: [{path: grant.labels.team, op: eq, value: red}]}], rate_limit: 1/day}\n"
    )
    path = tmp_path / "own_test.yaml"
    path.write_text(OF_CONFIGURATION)
    result = run_file(path)
    assert list(failures(result)) == ["reservations"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["callgate.yaml", "main.yaml", "own_test.yaml"]
