"""The services of the admin API, one file each."""
