"""Settings of every test."""

from hypothesis import HealthCheck, settings

# No test asserts a time: a machine that is busy is no fault.
settings.register_profile("callgate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("callgate")
