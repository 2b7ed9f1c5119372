"""The admin API over gRPC."""
