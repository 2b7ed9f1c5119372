"""Decisions, approvals and admin changes as spans and logs of OpenTelemetry."""
