"""The configuration's values from environment variables.

A module of its own, because the library takes as long to import as the whole model, and most starts need none of it.
"""

from __future__ import annotations

from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError

from callgate.config.document import read_json
from callgate.config.faults import Fault, InvalidConfigError
from callgate.config.model import ENV_DELIMITER, ENV_PREFIX, Config


class _Settings(Config, BaseSettings):
    """The model as the library wants it."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter=ENV_DELIMITER, env_ignore_empty=True, env_parse_none_str="null"
    )


class _Environment(EnvSettingsSource):
    """The library's reader of the environment, but with JSON read as strictly as in a file."""

    def decode_complex_value(self, field_name: str, field: Any, value: Any) -> Any:  # noqa: ANN401, ARG002  the base's
        return read_json(value)


def read_environment() -> dict[str, Any]:
    """The values by key.

    Raises:
        InvalidConfigError: A variable is not valid JSON.
    """
    try:
        return _Environment(_Settings)()
    except SettingsError as error:
        cause = error.__cause__
        # The library names the field; the variable may be one below it.
        name = str(error).partition('"')[2].partition('"')[0]
        message = f"environment variable `{ENV_PREFIX}{name.upper()}`: expected JSON; {cause}"
        raise InvalidConfigError([Fault(message)]) from None
