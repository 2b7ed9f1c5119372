"""Checks across keys and files, and warnings about valid but risky configurations."""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Iterator
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from callgate._callgate import ineffective_settings
from callgate.config.address import host_of, is_loopback
from callgate.config.audit_key import expiry_fault, read_audit_key
from callgate.config.engine_form import engine_form
from callgate.config.faults import Fault, InvalidConfigError
from callgate.config.folder import documents_in
from callgate.config.key import is_open_to_others, key_path
from callgate.config.load import unknown_variables
from callgate.config.login import listed as listed_logins
from callgate.config.notice_files import plain_receivers
from callgate.config.oauth import listed
from callgate.config.policies import (
    Catalogue,
    counted_alone,
    not_kept,
    policy_document,
    read_catalogue,
    shadows,
    unknown_tools,
)
from callgate.config.proxies import AlwaysPlace
from callgate.config.shared_keys import shared_faults
from callgate.config.store_place import store_faults
from callgate.config.tokens import placed_hashes, tokens_of, warnings_of
from callgate.errors import ConfigError
from callgate.text import did_you_mean, quoted

if TYPE_CHECKING:
    from pathlib import Path

    from callgate.config.bundle import Bundle, Placed
    from callgate.config.document import KeyPath
    from callgate.config.tokens import Tokened

_NO_PART_OF_A_PATH: Final = re.compile(r"[\x00-\x1f\x7f/\\;%?#]")

_SOON: Final = timedelta(days=30)
"""An audit key that ends within this time is warned of."""

_CHECKED_AGAINST: Final = frozenset({"servers", "policies", "policies_folder", "rate_limits", "socket", "tls"})
"""Keys whose absence would be a fault of another key."""


def check(bundle: Bundle, *, policy: Path | None = None) -> None:
    """Refuses invalid combinations; `policy` decides if there is no configuration: a file or a folder of policies.

    Raises:
        InvalidConfigError: All that was found.
    """
    if faults := list(faults_of(bundle, policy=policy)):
        raise InvalidConfigError(faults)


def faults_of(bundle: Bundle, *, policy: Path | None = None) -> Iterator[Fault]:
    """The invalid combinations that `check` refuses; none if a key has faults against which others are checked."""
    if bundle.loaded.dropped & _CHECKED_AGAINST:
        return
    yield from _listeners(bundle)
    yield from store_faults(bundle.loaded)
    yield from shared_faults(bundle.loaded)
    yield from _servers(bundle) if policy is None else _quick(bundle, policy)
    yield from _addresses(bundle)
    yield from _grants(bundle)
    yield from _peps(bundle)
    yield from _issuers(bundle)
    yield from _audit(bundle)
    if policy is None:
        yield from _proxies(bundle)


def _audit(bundle: Bundle) -> Iterator[Fault]:
    """The files of the audit key, which cannot be read."""
    audit = bundle.config.audit
    if audit is None or audit.key_file is None:
        return
    try:
        read_audit_key(audit.key_file)
    except ConfigError as error:
        yield bundle.loaded.fault(("audit", "key_file"), str(error))


def must_not_be_expired(bundle: Bundle) -> None:
    """Refuses a start with an audit key that signs nothing any more. A sidecar that runs goes on with it.

    Raises:
        InvalidConfigError: The key has expired.
    """
    path = None if bundle.config.audit is None else bundle.config.audit.key_file
    message = None if path is None else expiry_fault(read_audit_key(path), path)
    if message is not None:
        raise InvalidConfigError([bundle.loaded.fault(("audit", "key_file"), message)])


def _proxies(bundle: Bundle) -> Iterator[Fault]:
    """Servers that `proxies` names and that are not configured."""
    proxies, servers = bundle.config.proxies, bundle.config.servers
    named: list[tuple[KeyPath, str]] = [(("proxies", "hosts", host), name) for host, name in proxies.hosts.items()]
    named += [
        (("proxies", "server", index, "always"), source.always)
        for index, source in enumerate(proxies.server)
        if isinstance(source, AlwaysPlace)
    ]
    for path, name in named:
        if name not in servers:
            yield bundle.loaded.fault(path, unknown("server", name, servers))


def _listeners(bundle: Bundle) -> Iterator[Fault]:
    config, fault = bundle.config, bundle.loaded.fault
    if config.listen is None and config.socket is None:
        yield fault(("listen",), "nothing to listen on: expected `listen`, `socket`, or both")
    if config.tls is not None and config.listen is None:
        yield fault(("tls",), "TLS is for `listen`, which is `null`; the socket stays plain")


def _quick(bundle: Bundle, policy: Path) -> Iterator[Fault]:
    for name in ("servers", "policies", "policies_folder", "rate_limits", "grants", "grants_file"):
        if bundle.loaded.origin((name,)) != "default":
            yield bundle.loaded.fault((name,), f"`{name}` works with --config, not with --policy")
    for name in bundle.config.servers:
        message = without_policy(name, policy)
        if message is not None:
            yield bundle.loaded.fault(("servers", name, "upstream", "url"), message)


def without_policy(server: str, policy: Path) -> str | None:
    """The reason for which every call to a server would be denied, if `policy` is a folder without a policy for it."""
    known = [path.stem for path in documents_in(policy)] if policy.is_dir() else [server]
    return (
        None if server in known else f"no policy in the folder is for this server, {unknown('server', server, known)}"
    )


def _servers(bundle: Bundle) -> Iterator[Fault]:
    if not bundle.config.servers and not bundle.config.rate_limits:
        yield bundle.loaded.fault(("servers",), "no server is configured, so that every call would be denied; add one")
    for name, server in bundle.config.servers.items():
        if server.policy is not None and server.policy not in bundle.policies:
            message = unknown("policy", server.policy, bundle.policies)
            yield bundle.loaded.fault(("servers", name, "policy"), message)
        if server.candidate is None:
            continue
        path: KeyPath = ("servers", name, "candidate")
        if server.candidate not in bundle.policies:
            yield bundle.loaded.fault(path, unknown("policy", server.candidate, bundle.policies))
        elif server.policy is None:
            message = "a candidate is weighed beside the policy of its server, which has none; give it a `policy`"
            yield bundle.loaded.fault(path, message)


def _addresses(bundle: Bundle) -> Iterator[Fault]:
    """Servers whose name cannot be a part of `/mcp/<name>` as the gateway reads paths: clients could not reach them."""
    for name, server in bundle.config.servers.items():
        if server.upstream is None or (message := not_in_a_path(name)) is None:
            continue
        at = ("servers", name, "upstream", "url")
        is_option = bundle.loaded.origin(at).startswith("option ")
        yield bundle.loaded.fault(at if is_option else ("servers", name), message, of_key=True)


def not_in_a_path(name: str) -> str | None:
    """The reason for which a server's name cannot be a part of a path; None if it can."""
    if not _NO_PART_OF_A_PATH.search(name) and name not in {".", ".."}:
        return None
    return (
        f"the name {quoted(name)} cannot stand in the address `/mcp/<name>`; expected one without control "
        "characters and `/`, `\\`, `;`, `%`, `?` and `#` that is neither `.` nor `..`"
    )


def _grants(bundle: Bundle) -> Iterator[Fault]:
    ids, hashes = dict[str, int](), dict[str, str]()
    known: dict[str, Collection[str]] = {"server": bundle.config.servers, "policy": bundle.policies}
    for number, placed in enumerate(bundle.grants or ()):
        grant = placed.grant
        if ids.setdefault(grant.id, number) != number:
            yield placed.fault((*placed.path, "id"), f"another grant has the id {quoted(grant.id)}; rename one")
        else:
            for path, message in _repeated(grant, f"the grant {quoted(grant.id)}", hashes):
                yield placed.fault((*placed.path, *path), message)
        listed = grant.server is None
        for noun, name, server in unknown_names(grant.places().items(), known["server"], known["policy"]):
            path = ("servers", server) if listed else (noun,)
            message = unknown(noun, name, known[noun])
            yield placed.fault((*placed.path, *path), message, of_key=listed and noun == "server")


def unknown_names(
    places: Iterable[tuple[str, str | None]], servers: Container[str], policies: Container[str]
) -> Iterator[tuple[str, str, str]]:
    """The servers and policies of a grant's places that do not exist: `server` or `policy`, its name, the server."""
    for server, policy in places:
        if server not in servers:
            yield "server", server, server
        if policy is not None and policy not in policies:
            yield "policy", policy, server


def _repeated(entry: Tokened, name: str, hashes: dict[str, str]) -> Iterator[tuple[KeyPath, str]]:
    """Hashes of an entry that were met before, with their paths; `hashes` are those met, with the entries' names."""
    for path, token_hash in placed_hashes(entry):
        other = hashes.get(token_hash)
        hashes.setdefault(token_hash, name)
        if other == name:
            yield path, "this token is listed twice; keep one of them"
        elif other is not None:
            yield path, f"{other} has the same token; make one for each"


def _peps(bundle: Bundle) -> Iterator[Fault]:
    config, fault = bundle.config, bundle.loaded.fault
    names, hashes = dict[str, int](), dict[str, str]()
    for index, pep in enumerate(config.peps or ()):
        at = ("peps", index)
        if names.setdefault(pep.name, index) != index:
            yield fault((*at, "name"), f"another PEP has the name {quoted(pep.name)}; rename one")
        else:
            for path, message in _repeated(pep, f"the PEP {quoted(pep.name)}", hashes):
                yield fault((*at, *path), message)
        if not (tokens_of(pep) or pep.certificates or pep.uids):
            yield fault(
                at,
                f"the PEP {quoted(pep.name)} can prove itself by nothing; give `token_hash`, `certificates` or `uids`",
            )
        if pep.certificates and (config.tls is None or config.tls.client_ca is None):
            yield fault(
                (*at, "certificates"), "client certificates need `tls.client_ca`, which says whose are admitted"
            )
        if pep.uids and config.socket is None:
            yield fault((*at, "uids"), "users are told apart on a Unix socket alone; give `socket`")


def _issuers(bundle: Bundle) -> Iterator[Fault]:
    """Issuers of which two could produce the same id, or accept the same token."""
    issuers = listed(bundle.config.gateway.oauth)
    if len(issuers) < 2:  # noqa: PLR2004  one has nobody to be taken for
        return
    names, prefixes = dict[str, int](), dict[str, int]()
    for index, (step, issuer) in enumerate(issuers):
        at: KeyPath = ("gateway", "oauth", *step)
        prefix = issuer.prefix
        if names.setdefault(issuer.issuer, index) != index:
            message = f"`gateway.oauth[{names[issuer.issuer]}]` is the same issuer; keep one of them"
            yield bundle.loaded.fault((*at, "issuer"), message)
        if prefix is None:
            message = "the key `prefix` is missing: with several issuers each needs one of its own, such as `corp:`"
            yield bundle.loaded.fault(at, message)
            continue
        alike = next((other for other in prefixes if other.startswith(prefix) or prefix.startswith(other)), None)
        if alike is not None:
            message = (
                f"{quoted(prefix)} and {quoted(alike)} of `gateway.oauth[{prefixes[alike]}]` could make one id of two "
                "subjects; expected prefixes of which neither begins with the other"
            )
            yield bundle.loaded.fault((*at, "prefix"), message)
        prefixes.setdefault(prefix, index)


def warnings(bundle: Bundle, now: datetime | None = None, *, quick: bool = False) -> list[str]:
    """Warnings about valid configurations, as text; `quick` is a start from a policy alone."""
    return [str(warning) for warning in placed_warnings(bundle, now, quick=quick)]


def placed_warnings(bundle: Bundle, now: datetime | None = None, *, quick: bool = False) -> Iterator[Fault]:
    """The same, with their places."""
    yield from map(Fault, _trust(bundle, quick=quick))
    now = now or datetime.now(timezone.utc)
    yield from _useless(bundle, now)
    yield from _tokens(bundle, now)
    yield from audit_warnings(bundle, now)
    yield from map(Fault, _secrets(bundle))
    yield from policy_warnings(bundle)
    yield from map(Fault, unknown_variables())


def policy_warnings(bundle: Bundle) -> Iterator[Fault]:
    """Warnings about the contents of a configuration's policies."""
    yield from of_sharing(bundle.policies.values(), is_shared=bundle.config.counters.shared is not None)
    yield from _of_tools(bundle)


def _of_tools(bundle: Bundle) -> Iterator[Fault]:
    """Warnings about shadow mode, and about tools and servers that do not exist."""
    config = bundle.config
    catalogue = None if config.catalogue is None else read_catalogue(config.catalogue)
    if catalogue is not None and config.servers:
        yield from catalogue.unconfigured(config.servers)
    users = [(policy, name) for name, one in config.servers.items() for policy in (one.policy, one.candidate)]
    for placed in bundle.grants or ():
        users += [(policy, server) for server, policy in placed.grant.places().items()]
    for key, (file, content) in bundle.policies.items():
        yield from of_policy(file, content, catalogue, {server for policy, server in users if policy == key})


def of_policy(
    file: str, content: bytes, catalogue: Catalogue | None, servers: Collection[str] | None
) -> Iterator[Fault]:
    """Warnings about one policy of these servers; None stands for every server of the catalogue."""
    policy = policy_document(file, content)
    if policy is None:
        return
    yield from not_kept(policy)
    yield from shadows(policy)
    tools = None if catalogue is None else catalogue.tools(servers)
    if tools is not None:
        yield from unknown_tools(policy, tools, "the catalogue")


def _trust(bundle: Bundle, *, quick: bool) -> Iterator[str]:
    config = bundle.config
    if bundle.grants is None:
        where = "; at the gateway everybody is `anonymous`" if bundle.upstreams else ""
        if bundle.oauth is not None:
            where = ", at every door but the gateway"
        yield f"no grants are configured, so callers are trusted to name the grant that is charged{where}"
    if config.peps is None and config.listen is not None and not (quick and is_loopback(host_of(config.listen))):
        yield "no peps are configured, so everybody who reaches the port may ask and settle"
    if config.tls is None and config.listen is not None and not is_loopback(host_of(config.listen)):
        yield f"`{config.listen}` is no loopback address and has no TLS: tokens and arguments travel in the clear"
    for name in plain_receivers(bundle.receivers):
        yield f"the receiver {quoted(name)} of notices has no TLS: its messages travel in the clear"
    public_host = "" if config.admin.public_url is None else urlsplit(config.admin.public_url).hostname or ""
    if public_host and is_loopback(host_of(config.admin.listen)) and not is_loopback(public_host):
        yield (
            f"`admin.public_url` names {quoted(public_host)}, and the admin port `{config.admin.listen}` answers pages "
            "under loopback names alone; give `admin.listen` an address that people reach, with `admin.tls`"
        )
    if not is_loopback(host_of(config.admin.listen)):
        if config.admin.token_file is None:
            yield f"the admin port `{config.admin.listen}` is no loopback address and asks for no token"
        elif config.admin.tls is None:
            yield (
                f"the admin port `{config.admin.listen}` is no loopback address and has no TLS: it refuses the token "
                "of `admin.token_file`, logins and tokens of machines, and `/metrics` asks for none"
            )


def _useless(bundle: Bundle, now: datetime) -> Iterator[Fault]:
    config, grants = bundle.config, bundle.grants
    if config.counters.recovery is not None and config.counters.shared is None:
        message = "`counters.recovery` has no effect without `counters.shared`; remove it"
        yield bundle.loaded.fault(("counters", "recovery"), message)
    if grants is not None and not grants:
        token = "" if bundle.oauth is None else " or with a token of `gateway.oauth`"
        yield Fault(f"the list of grants is empty, so every call is denied but those with a grant of the store{token}")
    vouched = config.peps is not None and any(pep.vouches for pep in config.peps)
    if config.peps is not None and not config.peps:
        yield Fault("the list of peps is empty, so nobody may ask")
    for placed in grants or ():
        for reason in (*_reasons(placed, now, vouched=vouched or bundle.oauth is not None), *_shared(placed, bundle)):
            yield placed.fault(placed.path, f"the grant {quoted(placed.grant.id)} {reason}")
    used = {policy for server in config.servers.values() for policy in (server.policy, server.candidate)}
    for placed in grants or ():
        used.update(placed.grant.places().values())
    for key in sorted(set(bundle.policies) - used):
        yield Fault(f"the policy {quoted(key)} is used by no server and no grant of the configuration")


def _tokens(bundle: Bundle, now: datetime) -> Iterator[Fault]:
    """Warnings about tokens that have ended, and about old ones without an end."""
    for placed in bundle.grants or ():
        for path, reason in () if placed.grant.revoked else warnings_of(placed.grant, now):
            yield placed.fault((*placed.path, *path), f"the grant {quoted(placed.grant.id)} {reason}")
    for index, pep in enumerate(bundle.config.peps or ()):
        for path, reason in warnings_of(pep, now):
            yield bundle.loaded.fault(("peps", index, *path), f"the PEP {quoted(pep.name)} {reason}")


def audit_warnings(bundle: Bundle, now: datetime) -> Iterator[Fault]:
    """A warning about an audit key that has ended or ends soon."""
    path = None if bundle.config.audit is None else bundle.config.audit.key_file
    if path is None:
        return
    key = read_audit_key(path)
    message = expiry_fault(key, path, now)
    if message is None and expiry_fault(key, path, now + _SOON) is not None:
        message = (
            f"the audit key expires at {key.statements[-1].expires:%Y-%m-%dT%H:%M:%SZ}; make the next one with "
            f"`callgate audit key rotate {path} NEW`"
        )
    if message is not None:
        yield bundle.loaded.fault(("audit", "key_file"), message)


def of_sharing(policies: Iterable[tuple[str, bytes]], *, is_shared: bool) -> Iterator[Fault]:
    """Warnings about limits that are shared otherwise than their policy seems to say."""
    if not is_shared:
        yield from ineffective(policies)
        return
    documents = (policy_document(file, content) for file, content in policies)
    for document in documents:
        if document is not None:
            yield from counted_alone(document)


def ineffective(policies: Iterable[tuple[str, bytes]]) -> Iterator[Fault]:
    """A warning for each setting of these files that changes nothing, so that nobody takes it for protection.

    The settings are those for shared counters, so that they have an effect where there are such.
    """
    for file, content in policies:
        try:
            form = engine_form(file, content)
        except InvalidConfigError:
            # Its faults are reported elsewhere.
            continue
        yield from (form.fault(*found) for found in ineffective_settings(file, form.content))


def _reasons(placed: Placed, now: datetime, *, vouched: bool) -> Iterator[str]:
    grant = placed.grant
    if grant.revoked:
        return
    if None in grant.places().values():
        yield "has no policy, so its calls are denied"
    if grant.expires_at is not None and grant.expires_at <= now:
        yield "has expired"
    if not tokens_of(grant) and not vouched:
        yield "has no token, and no PEP vouches, so nobody can use it"


def _shared(placed: Placed, bundle: Bundle) -> Iterator[str]:
    """A prefix keeps an issuer's ids apart, so a grant with such an id and its own token may be a mistake."""
    grant = placed.grant
    if grant.revoked or not tokens_of(grant):
        return
    for _, issuer in listed(bundle.config.gateway.oauth):
        if issuer.prefix is not None and grant.id.startswith(issuer.prefix):
            yield (
                f"has a token of its own, and is also {quoted(grant.id.removeprefix(issuer.prefix))} of the issuer "
                f"{quoted(issuer.issuer)}"
            )


def _secrets(bundle: Bundle) -> Iterator[str]:
    for what, path in _secret_files(bundle):
        if is_open_to_others(path):
            yield f"other users may read the {what} `{path}`; chmod 600 it"


def _secret_files(bundle: Bundle) -> Iterator[tuple[str, Path]]:
    """The files of the configuration that are for this user alone, each with a word for its content."""
    config, shared, telemetry = bundle.config, bundle.config.counters.shared, bundle.config.telemetry
    named = [
        ("key", None if bundle.key is None or config.grant_key is not None else key_path(config)),
        ("key", None if config.tls is None else config.tls.key),
        ("key", None if config.admin.tls is None else config.admin.tls.key),
        ("token", config.admin.token_file),
        ("URL of the store", config.store.url_file),
        ("password", None if shared is None else shared.password_file),
        ("audit key", None if config.audit is None else config.audit.key_file),
        ("headers", None if telemetry is None else telemetry.headers_file),
    ]
    named += [("secret", login.client_secret_file) for _, login in listed_logins(config.admin.login)]
    for receiver in config.notices.receivers.values():
        named += [("secret", path) for path in (*receiver.secret_files, receiver.url_file)]
    yield from ((what, path) for what, path in named if path is not None)


def unknown(what: str, name: str, known: object) -> str:
    """The message for a key that names nothing, with the nearest existing one."""
    names = [str(key) for key in known] if hasattr(known, "__iter__") else []
    return f"unknown {what} {quoted(name)}{did_you_mean(name, names)}"
