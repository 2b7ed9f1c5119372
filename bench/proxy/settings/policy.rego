# policy.json says the same.
package envoy.authz

default allow := false

allow if {
	input.parsed_body.method == "tools/call"
	call := input.parsed_body.params
	call.name == "create_charge"
	call.arguments.currency in {"usd", "eur"}
	is_number(call.arguments.amount)
	call.arguments.amount <= 50000
}
