"""For each code of a finding a policy that has it, and one that nearly has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """A policy with a finding, and the same without its cause; below `version` and `default: deny`."""

    has: str
    has_not: str
    catalogue: dict[str, Any] | None = None


def _tools(**tools: dict[str, Any]) -> dict[str, Any]:
    return {"version": "1", "servers": {"srv": {"tools": tools}}}


CASES = {
    "CG101": Case(
        "tools: {pay: {deny_if: [{conditions: [{path: time.hour, op: gt, value: 23}]}]}}",
        "tools: {pay: {deny_if: [{conditions: [{path: time.hour, op: gt, value: 22}]}]}}",
    ),
    "CG102": Case(
        "tools: {pay: {deny_if: [{conditions: [{path: args.amount, op: lt, value: 1}, "
        "{path: args.amount, op: gt, value: 1.0}]}]}}",
        "tools: {pay: {deny_if: [{conditions: [{path: args.amount, op: lt, value: 1.0000000000000000001}, "
        "{path: args.amount, op: gt, value: 1.0}]}]}}",
    ),
    "CG103": Case(
        "tools: {pay: {deny_if: [{conditions: [{path: args.amount, op: gt, value: 100}]}, "
        "{conditions: [{path: args.amount, op: gt, value: 500}]}]}}",
        "tools: {pay: {deny_if: [{conditions: [{path: args.amount, op: gt, value: 500}]}, "
        "{conditions: [{path: args.amount, op: gt, value: 100}]}]}}",
    ),
    "CG104": Case(
        "tools: {pay: {require: [{conditions: [{path: args.currency, op: in, value: [usd, eur]}]}, "
        "{conditions: [{path: args.currency, op: regex, value: '^[A-Z]+$'}]}]}}",
        "tools: {pay: {require: [{conditions: [{path: args.currency, op: in, value: [usd, EUR]}]}, "
        "{conditions: [{path: args.currency, op: regex, value: '^[A-Z]+$'}]}]}}",
    ),
    "CG105": Case(
        "tools: {pay: {action: deny, rate_limit: 5/minute}}",
        "tools: {pay: {rate_limit: 5/minute}}",
    ),
    "CG111": Case(
        "tools: {'db?*': {}, db: {}, 'db*': {rate_limit: 5/minute}}",
        "tools: {'db?*': {}, dc: {}, 'db*': {rate_limit: 5/minute}}",
    ),
    "CG112": Case(
        "tools: {'db_*': {require: [{conditions: [{path: args.table, op: eq, value: orders}]}]}, db_list: {}}",
        "tools: {'db_*': {require: [{conditions: [{path: args.table, op: eq, value: orders}]}]}, "
        "db_list: {require: [{conditions: [{path: args.table, op: eq, value: orders}]}]}}",
    ),
    "CG113": Case(
        "hide: ['delete_*']\ntools: {'delete_user*': {rate_limit: 5/minute}}",
        "hide: ['delete_u*']\ntools: {'delete_?ser*': {rate_limit: 5/minute}}",
    ),
    "CG114": Case(
        "hide: ['delete_*', 'delete_user_?']\ntools: {pay: {}}",
        "hide: ['delete_*_x', 'delete_user_?']\ntools: {pay: {}}",
    ),
    "CG121": Case(
        "tools: {pay: {deny_if: [{conditions: [{path: args.amount, op: gt, value: 100}]}]}}",
        "tools: {pay: {require: [{conditions: [{path: args.amount, op: exists, value: true}]}], "
        "deny_if: [{conditions: [{path: args.amount, op: gt, value: 100}]}]}}",
    ),
    "CG122": Case(
        "tools: {pay: {require: [{conditions: [{path: args.account, op: regex, value: '^acc-[0-9]+|^test$'}]}]}}",
        "tools: {pay: {require: [{conditions: [{path: args.account, op: regex, value: '^(acc-[0-9]+|test)$'}]}]}}",
    ),
    "CG123": Case(
        "tools: {read_file: {require: [{conditions: [{path: args.path, op: starts_with, value: /srv/data/}]}]}}",
        "tools: {read_file: {require: [{conditions: [{path: args.path, op: path_within, value: /srv/data}]}]}}",
    ),
    "CG124": Case(
        "tools: {deploy: {deny_if: [{conditions: [{path: args.stage, op: eq, value: production}]}]}}",
        "tools: {deploy: {deny_if: [{conditions: [{path: args.stage, op: regex, value: '(?i)^production$'}]}]}}",
    ),
    "CG131": Case(
        "tools: {pay: {limits: [{counter: pays, window: hour, max: 2, scope: session}]}}",
        "tools: {pay: {limits: [{counter: pays, window: hour, max: 2, scope: session}, "
        "{counter: all_pays, window: hour, max: 20}]}}",
    ),
    "CG132": Case(
        "tools: {pay: {limits: [{counter: pays, window: hour, max: 2, scope: [grant, args.account]}]}}",
        "tools: {pay: {require: [{conditions: [{path: args.account, op: in, value: [a, b]}]}], "
        "limits: [{counter: pays, window: hour, max: 2, scope: [grant, args.account]}]}}",
    ),
    "CG133": Case(
        "tools: {pay: {limits: [{counter: short, window: minute, max: 2}, {counter: long, window: hour, max: 120}]}}",
        "tools: {pay: {limits: [{counter: short, window: minute, max: 2}, {counter: long, window: hour, max: 119}]}}",
    ),
    "CG134": Case(
        "tools: {pay: {limits: [{counter: pays, window: hour, max: 2, cost: 3}]}}",
        "tools: {pay: {limits: [{counter: pays, window: hour, max: 3, cost: 3}]}}",
    ),
    "CG135": Case(
        "tools: {pay: {limits: [{counter: pays, window: hour, max: 2, cost: 0}]}}",
        "tools: {pay: {limits: [{counter: pays, window: hour, max: 2, cost: 0.000001}]}}",
    ),
    "CG136": Case(
        "tools: {pay: {limits: [{counter: spent, window: day, max: 500, cost: args.amount}]}}",
        "tools: {pay: {require: [{conditions: [{path: args.amount, op: gt, value: 0}]}], "
        "limits: [{counter: spent, window: day, max: 500, cost: args.amount}]}}",
    ),
    "CG141": Case(
        "tools: {'db-*': {}, 'db_*': {}}",
        "tools: {'db*': {}, 'db_*': {}}",
        _tools(db_list={}),
    ),
    "CG142": Case(
        "tools: {db_list: {}}",
        "tools: {db_list: {}}\nhide: [db_drop]",
        _tools(db_list={}, db_drop={"category": "Destructive"}),
    ),
    "CG143": Case(
        "categories: {Financial: {rate_limit: 5/minute}}\ntools: {db_list: {}}",
        "categories: {Read: {rate_limit: 5/minute}}\ntools: {db_list: {}}",
        _tools(db_list={"category": "Read"}),
    ),
    "CG144": Case(
        "tools: {db_list: {schema: input}}",
        "tools: {db_query: {schema: input}}",
        _tools(db_list={}, db_query={"input_schema": {"type": "object"}}),
    ),
    "CG190": Case(
        "tools: {pay: {deny_if: [{conditions: [{path: args.a, op: in, value: ["
        + ", ".join(map(str, range(301)))
        + "]}, "
        "{path: args.a, op: gt, value: 5}]}]}}",
        "tools: {pay: {deny_if: [{conditions: [{path: args.a, op: in, value: [3, 9]}, "
        "{path: args.a, op: gt, value: 5}]}]}}",
    ),
}


def text_of(rules: str) -> str:
    """The whole document."""
    return f'version: "1"\ndefault: deny\n{rules}\n'
