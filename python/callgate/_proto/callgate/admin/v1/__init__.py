"""Messages generated from `proto/`; `make proto` writes them."""
