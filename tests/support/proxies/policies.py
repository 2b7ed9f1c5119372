"""The policy that most tests of proxies decide by."""

POLICY = {
    "version": "1",
    "name": "example",
    "default": "deny",
    "tools": {
        "open": {},
        "capped": {"limits": [{"counter": "calls", "window": "hour", "max": 2}]},
        "small": {"deny_if": [{"conditions": [{"path": "args.n", "op": "gt", "value": 10}], "on_deny": "too many"}]},
    },
}
