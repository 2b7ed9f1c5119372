"""The examples at the end of each help text."""


def examples(*commands: str) -> str:
    """The end of a help text. The first line keeps the library from joining the lines after it."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])
