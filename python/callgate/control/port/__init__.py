"""The admin port and the control socket: connections, and the answers to operators and to Prometheus."""
