"""Approvals as people see and answer them, whatever the face."""
