"""Grants, servers and policies of files and of the store, as the API shows and changes them."""
