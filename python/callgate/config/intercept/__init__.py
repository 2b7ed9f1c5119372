"""Policies of PolicyLayer Intercept, converted to callgate's own (docs/policy.md, section 7)."""
