"""The configuration: its model, its file, and the files that it names.

`read_bundle` reads a configuration and all of its files; `check` refuses what does not fit together.
"""

from callgate.config.bundle import Bundle, read_bundle
from callgate.config.check import check, warnings
from callgate.config.faults import Fault, InvalidConfigError
from callgate.config.files import Files
from callgate.config.load import Loaded, Option, load
from callgate.config.model import Config, LogFormat

__all__ = [
    "Bundle",
    "Config",
    "Fault",
    "Files",
    "InvalidConfigError",
    "Loaded",
    "LogFormat",
    "Option",
    "check",
    "load",
    "read_bundle",
    "warnings",
]
