"""One call of a method: who calls and may, the request, the change that it makes once, and errors."""
