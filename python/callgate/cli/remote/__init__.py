"""Commands that work at a sidecar's admin port, as the person who has logged in there with `callgate login`."""
