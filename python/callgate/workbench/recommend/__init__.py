"""Policies that are recommended for the tools of a catalogue, each rule with its reason."""
