"""Rate limits of other services, read as those services read them and converted to callgate's."""

from callgate.workbench.convert.align import Align
from callgate.workbench.convert.conversion import Conversion, Said
from callgate.workbench.convert.limitador import convert_limitador
from callgate.workbench.convert.output import targets, text_of, write
from callgate.workbench.convert.ratelimit import convert_ratelimit

__all__ = [
    "Align",
    "Conversion",
    "Said",
    "convert_limitador",
    "convert_ratelimit",
    "targets",
    "text_of",
    "write",
]
