"""A configuration with the contents of its files, from which the engine and the server are built."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from callgate.config.document import Document, read_document
from callgate.config.engine_form import EngineForm, engine_forms
from callgate.config.faults import Fault, InvalidConfigError
from callgate.config.files import Files
from callgate.config.folder import documents_and_misnamed, documents_in
from callgate.config.grants import Grant, GrantsFile
from callgate.config.judge import Faulting, read_from, section_of
from callgate.config.key import is_in_state, key_path, parse_token, read_key
from callgate.config.load import Loaded, load_with_faults
from callgate.config.login import LoginSettings, listed, parse_client_secret
from callgate.config.notice_files import ReadReceiver, read_receivers
from callgate.config.oauth import Jwks
from callgate.config.shared_keys import CA_FILE, PASSWORD_FILE, checked_authorities, parse_password
from callgate.config.state import pins_folder
from callgate.config.telemetry_files import ReadCollector, read_collector
from callgate.config.tokens import tokens_of
from callgate.config.upstreams import Listed, first_lists_s
from callgate.errors import ConfigError, TransientError
from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from callgate.config.document import KeyPath
    from callgate.config.listeners import AdminTls, Tls
    from callgate.config.load import Option
    from callgate.config.model import Config
    from callgate.config.oauth import Oauth
    from callgate.config.upstreams import HeaderValue

_Parsed = TypeVar("_Parsed")


@dataclass(frozen=True)
class Placed:
    """A grant and its place."""

    grant: Grant
    path: KeyPath
    fault: Faulting = field(repr=False, compare=False)
    document: Document | None = field(default=None, repr=False, compare=False)
    """The file that contains it; None if it came from the environment."""


@dataclass(frozen=True)
class Bundle:
    """A configuration with the contents of its files."""

    loaded: Loaded
    policies: Mapping[str, tuple[str, bytes]]
    """By key: the name and the contents of the file."""
    grants: tuple[Placed, ...] | None
    """None if no grants are configured, which differs from an empty list."""
    key: bytes | None = field(repr=False)
    tls: Mapping[str, bytes] | None = field(repr=False)
    rate_limits: tuple[tuple[str, bytes], ...] = ()
    """The name and the contents of each file."""
    upstreams: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    """By server: the endpoint and its settings as `Server` takes them, secrets included."""
    pins: Path | None = None
    """The state folder of pins, if it is another one than the configuration's."""
    oauth: Mapping[str, Any] | list[Mapping[str, Any]] | None = None
    """The issuers of callers' tokens, in the form that `Server` takes."""
    admin_token: str | None = field(default=None, repr=False)
    """The token of operators on the admin port."""
    admin_tls: Mapping[str, bytes] | None = field(default=None, repr=False)
    """The contents of `admin.tls`."""
    logins: tuple[LoginSettings, ...] = ()
    """The issuers of `admin.login`."""
    redis_password: str | None = field(default=None, repr=False)
    """The password of shared counters."""
    redis_ca: bytes | None = field(default=None, repr=False)
    """The authorities that are trusted for shared counters."""
    receivers: tuple[ReadReceiver, ...] = field(default=(), repr=False)
    """The receivers of notices."""
    collector: ReadCollector | None = field(default=None, repr=False)
    """The collector of spans and logs."""

    @property
    def config(self) -> Config:
        """The configuration itself."""
        return self.loaded.config

    @property
    def pins_folder(self) -> Path:
        """The folder of the accepted tools of servers."""
        return pins_folder(self.pins or self.config.state)

    def engine_keywords(self) -> dict[str, Any]:
        """The arguments of `Engine.from_config` and `Engine.reload_config`.

        Raises:
            InvalidConfigError: Policies of Intercept's cannot be converted; all that was found.
        """
        return {
            "policies": {key: (form.file, form.content) for key, form in self.engine_forms().items()},
            "servers": {name: server.policy for name, server in self.config.servers.items()},
            "candidates": {
                name: server.candidate for name, server in self.config.servers.items() if server.candidate is not None
            },
            "grants": self._grants(),
            "grant_key": self.key,
            "catalogue": self.config.catalogue,
            "rate_limits": self.rate_limits,
        }

    def engine_forms(self) -> dict[str, EngineForm]:
        """The policies as the engine takes them, by key.

        Raises:
            InvalidConfigError: Policies of Intercept's cannot be converted; all that was found.
        """
        forms = list(engine_forms(self.policies.values()))
        return dict(zip(self.policies, forms, strict=True))

    def peps(self) -> list[dict[str, Any]] | None:
        """The enforcement points as `Server` takes them: None admits every client, an empty list none."""
        peps = self.config.peps
        return None if peps is None else [pep.server_keywords() for pep in peps]

    def gateway(self) -> dict[str, Any]:
        """The argument `gateway` of `Server`."""
        gateway = self.config.gateway
        return {
            "servers": self.upstreams,
            "methods": (list(gateway.methods.allow), list(gateway.methods.deny)),
            "public_url": gateway.public_url,
            "lists_allowed_only": gateway.list is Listed.ALLOWED_ONLY,
            "pins_folder": self.pins_folder if self.upstreams else None,
            "first_lists_s": first_lists_s(self.config.pinning.first_lists),
            "oauth": self.oauth,
            "allowed_origins": list(gateway.allowed_origins),
        }

    def _grants(self) -> list[dict[str, Any]] | None:
        """The grants as the engine takes them: None lets callers name their grant, an empty list admits no caller."""
        return None if self.grants is None else [placed.grant.server_keywords() for placed in self.grants]


def read_bundle(
    path: Path | None, options: Mapping[KeyPath, Option] | None = None, files: Files | None = None
) -> Bundle:
    """Reads a configuration and all files that it names; records them in `files`, even on failure.

    Args:
        path: Its file; None where there is none besides the environment and `options`.
        options: What the command line says.
        files: Takes what was looked at.

    Raises:
        ConfigError: A file cannot be read.
        InvalidConfigError: Something is wrong; all that was found.
    """
    bundle, faults = read_with_faults(path, options, Files() if files is None else files)
    if faults:
        raise InvalidConfigError(faults)
    return bundle


def read_with_faults(
    path: Path | None, options: Mapping[KeyPath, Option] | None, files: Files
) -> tuple[Bundle, list[Fault]]:
    """Works like `read_bundle`, but returns the faults of files beside what could be read.

    Raises:
        ConfigError: The configuration itself cannot be read.
        InvalidConfigError: The configuration itself is not well formed.
    """
    if path is not None:
        files.add(path)
    loaded, faults = load_with_faults(path, options)
    config = loaded.config
    policies = _policies(loaded, files, faults)
    grants = _grants(loaded, files, faults)
    tls = _tls(loaded, ("tls",), loaded.config.tls, files, faults)
    admin_tls = _tls(loaded, ("admin", "tls"), loaded.config.admin.tls, files, faults)
    rate_limits = _rate_limits(loaded, files, faults)
    if config.catalogue is not None:
        # The engine reads it, because it knows the format; it is only checked here, so that the fault has a place.
        _read(loaded, ("catalogue",), config.catalogue, files, faults)
    key = _key(loaded, grants or (), files, faults)
    upstreams = dict(_upstreams(loaded, files, faults))
    oauth = _oauth(loaded, files, faults)
    admin_token = _of_file(loaded, ("admin", "token_file"), config.admin.token_file, parse_token, files, faults)
    shared = config.counters.shared
    password_file, ca_file = (None, None) if shared is None else (shared.password_file, shared.ca_file)

    def read(at: KeyPath, path: Path) -> bytes:
        return _read(loaded, at, path, files, faults)

    bundle = Bundle(
        loaded,
        policies,
        grants,
        key,
        tls,
        rate_limits,
        upstreams,
        oauth=oauth,
        admin_token=admin_token,
        admin_tls=admin_tls,
        logins=tuple(_logins(loaded, files, faults)),
        redis_password=_of_file(loaded, PASSWORD_FILE, password_file, parse_password, files, faults),
        redis_ca=_of_file(loaded, CA_FILE, ca_file, checked_authorities, files, faults),
        receivers=tuple(read_receivers(loaded, read, faults)),
        collector=read_collector(loaded, read, faults),
    )
    return bundle, faults


def policy_keys(loaded: Loaded) -> list[str] | None:
    """The keys of the policies that a configuration names; None if its folder of policies is not on this machine."""
    folder = loaded.config.policies_folder
    if folder is not None and not folder.is_dir():
        return None
    return list(_policies(loaded, Files(), []))


def known_grants(loaded: Loaded) -> tuple[Placed, ...]:
    """The grants that exist already; a file of grants may still be missing."""
    return _grants(loaded, Files(), []) or ()


def configured_grants(loaded: Loaded) -> tuple[Placed, ...]:
    """The grants with the files that contain them.

    Raises:
        InvalidConfigError: A file of grants cannot be read, or is wrong.
    """
    faults = list[Fault]()
    grants = _grants(loaded, Files(), faults)
    if faults:
        raise InvalidConfigError(faults)
    return grants or ()


def _of_file(
    loaded: Loaded,
    at: KeyPath,
    path: Path | None,
    parse: Callable[[bytes, str], _Parsed],
    files: Files,
    faults: list[Fault],
) -> _Parsed | None:
    """The value in the file at a key; None without a file, and after a fault."""
    if path is None:
        return None
    before = len(faults)
    content = _read(loaded, at, path, files, faults)
    if len(faults) > before:
        return None
    try:
        return parse(content, f"`{path}`")
    except ConfigError as error:
        faults.append(loaded.fault(at, str(error)))
        return None


def _key(loaded: Loaded, grants: Iterable[Placed], files: Files, faults: list[Fault]) -> bytes | None:
    """The key, if it is needed or exists: grants and PEPs may be added at a reload."""
    config = loaded.config
    if loaded.dropped & {"state", "grant_key_file", "grant_key"}:
        return None
    if config.grant_key is None:
        files.add(key_path(config))
    has_tokens = any(tokens_of(entry) for entry in (*(placed.grant for placed in grants), *(config.peps or ())))
    try:
        if config.grant_key is None and not has_tokens and config.grant_key_file is None and not is_in_state(config):
            return None
        return read_key(config)
    except ConfigError as error:
        faults.append(_of(error, _at(loaded, ("grant_key_file",), str(error))))
        return None


def _policies(loaded: Loaded, files: Files, faults: list[Fault]) -> dict[str, tuple[str, bytes]]:
    config, policies = loaded.config, dict[str, tuple[str, bytes]]()
    for key, path in config.policies.items():
        content = _read(loaded, ("policies", key), path, files, faults)
        policies[key] = (str(path), content)
    if config.policies_folder is None:
        return policies
    files.add(config.policies_folder)
    try:
        found, misnamed = documents_and_misnamed(config.policies_folder)
    except ConfigError as error:
        faults.append(_of(error, loaded.fault(("policies_folder",), str(error))))
        return policies
    faults += [loaded.fault(("policies_folder",), message) for message in misnamed.values()]
    for path in found:
        if path.stem in policies:
            message = f"`{path}` and `{policies[path.stem][0]}` are policies of one key, `{path.stem}`; rename one"
            faults.append(loaded.fault(("policies_folder",), message))
        policies[path.stem] = (str(path), _read(loaded, ("policies_folder",), path, files, faults))
    return policies


def _rate_limits(loaded: Loaded, files: Files, faults: list[Fault]) -> tuple[tuple[str, bytes], ...]:
    named = enumerate(loaded.config.rate_limits)
    return tuple((str(path), _read(loaded, ("rate_limits", index), path, files, faults)) for index, path in named)


def _grants(loaded: Loaded, files: Files, faults: list[Fault]) -> tuple[Placed, ...] | None:
    config = loaded.config
    if config.grants is None and config.grants_file is None:
        return None
    document = loaded.document_of(("grants",))
    grants = enumerate(config.grants or ())
    placed = [Placed(grant, ("grants", index), loaded.fault, document) for index, grant in grants]
    if config.grants_file is not None:
        files.add(config.grants_file)
        try:
            paths = documents_in(config.grants_file) if config.grants_file.is_dir() else [config.grants_file]
            for path in paths:
                files.add(path)
                placed += _grants_of(path)
        except InvalidConfigError as error:
            faults += error.faults
        except ConfigError as error:
            faults.append(_of(error, loaded.fault(("grants_file",), str(error))))
    return tuple(placed)


def _grants_of(path: Path) -> Iterator[Placed]:
    document = read_document(path)
    grants = read_from(document, partial(section_of, GrantsFile)).grants
    return (Placed(grant, ("grants", index), document.fault, document) for index, grant in enumerate(grants))


def _tls(
    loaded: Loaded, at: KeyPath, tls: Tls | AdminTls | None, files: Files, faults: list[Fault]
) -> dict[str, bytes] | None:
    if tls is None:
        return None
    paths = tls.server_keywords().items()
    return {name: _read(loaded, (*at, name), path, files, faults) for name, path in paths if path is not None}


def _upstreams(loaded: Loaded, files: Files, faults: list[Fault]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, server in loaded.config.servers.items():
        upstream, at = server.upstream, ("servers", name, "upstream")
        if upstream is None:
            continue
        ca = None if upstream.ca is None else _read(loaded, (*at, "ca"), upstream.ca, files, faults)
        headers = [
            (field, value.prefix + _secret(loaded, (*at, "headers", field), value, files, faults))
            for field, value in upstream.headers.items()
        ]
        yield name, {**upstream.server_keywords(), "ca": ca, "headers": headers}


def _oauth(loaded: Loaded, files: Files, faults: list[Fault]) -> Mapping[str, Any] | list[Mapping[str, Any]] | None:
    def keywords(issuer: Oauth, *step: int) -> Mapping[str, Any]:
        at: KeyPath = ("gateway", "oauth", *step, "jwks")
        jwks = issuer.jwks or Jwks.model_construct()
        return {
            **issuer.server_keywords(),
            "jwks": None if jwks.file is None else _read(loaded, (*at, "file"), jwks.file, files, faults),
            "jwks_ca": None if jwks.ca is None else _read(loaded, (*at, "ca"), jwks.ca, files, faults),
        }

    oauth = loaded.config.gateway.oauth
    if isinstance(oauth, list):
        return [keywords(issuer, index) for index, issuer in enumerate(oauth)]
    return None if oauth is None else keywords(oauth)


def _logins(loaded: Loaded, files: Files, faults: list[Fault]) -> Iterator[LoginSettings]:
    for step, login in listed(loaded.config.admin.login):
        at: KeyPath = ("admin", "login", *step)
        secret_at, ca_at = (*at, "client_secret_file"), (*at, "ca")
        secret = _of_file(loaded, secret_at, login.client_secret_file, parse_client_secret, files, faults)
        yield LoginSettings(login, secret, _of_file(loaded, ca_at, login.ca, checked_authorities, files, faults))


def _secret(loaded: Loaded, at: KeyPath, value: HeaderValue, files: Files, faults: list[Fault]) -> str:
    """The value of a header; messages never show it."""
    if value.file is not None:
        content = _read(loaded, (*at, "file"), value.file, files, faults)
        try:
            return content.decode().strip()
        except UnicodeDecodeError:
            faults.append(loaded.fault((*at, "file"), f"`{value.file}` is no text; expected one line"))
            return ""
    secret = os.environ.get(value.env or "")
    if secret is None:
        message = f"the environment variable {quoted(value.env or '')} is not set"
        faults.append(loaded.fault((*at, "env"), message))
    return (secret or "").strip()


def _read(loaded: Loaded, at: KeyPath, path: Path, files: Files, faults: list[Fault]) -> bytes:
    try:
        return files.read(path)
    except ConfigError as error:
        faults.append(_of(error, loaded.fault(at, str(error))))
        return b""


def _of(error: ConfigError, fault: Fault) -> Fault:
    """The fault for an error."""
    return replace(fault, is_transient=isinstance(error, TransientError))


def _at(loaded: Loaded, path: KeyPath, message: str) -> Fault:
    """A fault at a key if it is given, else without a place, because a default has none."""
    return loaded.fault(path, message) if loaded.origin(path) != "default" else Fault(message)
