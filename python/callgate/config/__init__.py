"""The configuration: its model, its file, and the files that it names.

`bundle.read_bundle` reads a configuration and all of its files; `check.check` refuses what does not fit together. The
model takes long to import, so that nothing is imported here: some commands need an address or a duration alone.
"""
