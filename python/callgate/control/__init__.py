"""The running sidecar: what it is started from, its reloads, its admin port, its metrics and its logs."""
