"""A static site of a catalogue: a page for each server and each tool, with a rule to begin with."""

from callgate.workbench.site.build import TITLE, BuiltSite, build_site
from callgate.workbench.site.policies import recommended_rule

__all__ = ["TITLE", "BuiltSite", "build_site", "recommended_rule"]
