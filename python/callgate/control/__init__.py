"""The running sidecar: its start, its reloads, its admin port, its metrics and its logs."""
