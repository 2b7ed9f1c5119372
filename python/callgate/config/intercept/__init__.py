"""Policies of PolicyLayer Intercept, converted to callgate's own (docs/policy.md, section 7)."""

from callgate.config.intercept.convert import Converted, convert
from callgate.config.intercept.detect import is_intercept

__all__ = ["Converted", "convert", "is_intercept"]
