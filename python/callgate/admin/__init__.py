"""The admin API, `callgate.admin.v1`: its services over the store and the running sidecar, whatever the face."""
