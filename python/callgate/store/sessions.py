"""Sessions of people who have logged in, and one-time links. Only digests of their tokens are stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from callgate.store import audit
from callgate.store.attempts import Attempt, forgive
from callgate.store.changes import Kind, next_numbers
from callgate.store.database import Domain
from callgate.store.errors import ConflictError
from callgate.store.issuers import LOCAL_ISSUER
from callgate.store.model import Actor, Person
from callgate.store.people import has_nobody, local_person, read_person
from callgate.store.tables import login_links, sessions, used_logins

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from callgate.store.database import Database
    from callgate.store.people import LocalPerson

_SECOND_US: Final = 1_000_000
LONGEST_US: Final = 12 * 3_600 * _SECOND_US
"""The time after which a session ends, however it is used."""

IDLE_US: Final = 3_600 * _SECOND_US
"""The time without a use after which a session ends."""

LINK_US: Final = 600 * _SECOND_US
"""The time for which a one-time link works."""

MOST_SESSIONS: Final = 20
"""Sessions of one person at once; a new one ends the oldest."""

_TABLE: Final = sessions.c


@dataclass(frozen=True)
class IssuedLogin:
    """A person as an issuer describes them at a login."""

    person: Person
    name: str
    """The name for pages, which proves nothing; it may be empty."""
    groups: frozenset[str]
    """The groups at the issuer. What they mean here is looked up at each request."""
    sid: str | None = None
    """The session at the issuer, by which the issuer ends this one."""
    authenticated_us: int | None = None
    """The time at which the person has proven who they are; None if the issuer does not say so."""


@dataclass(frozen=True)
class Once:
    """Something that may be used once, such as the answer of an issuer."""

    digest: str = field(repr=False)
    """Its SHA-256, as hex digits."""
    until_us: int
    """The time after which it could not be used any more."""


@dataclass(frozen=True)
class Session:
    """A session in force."""

    person: Person
    local: LocalPerson | None
    """The person as stored now; None for the operating system's user, who came by a one-time link."""
    made_us: int
    expires_us: int
    used_us: int
    source: str
    issued: IssuedLogin | None = None
    """The person as their issuer described them; None for people without an issuer."""


class Sessions:
    """Sessions and one-time links."""

    def __init__(self, database: Database) -> None:
        """Takes the database."""
        self._database = database

    def open(self, session_hash: str, seen: LocalPerson, attempt: Attempt, now_us: int) -> None:
        """Opens a session, and forgives the attempt; recorded in the admin audit.

        Raises:
            ConflictError: The person has changed since the password was looked at.
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> None:
            present = read_person(connection, seen.name)
            if present != seen:
                message = f"the person `{seen.name}` was changed meanwhile; log in again"
                raise ConflictError(message, 0 if present is None else present.change)
            forgive(connection, attempt, now_us)
            _open(connection, session_hash, seen.person, attempt.source, now_us, is_of_link=False)

        self._database.write(work, Domain.IDENTITY)

    def open_issued(self, session_hash: str, login: IssuedLogin, once: Once, attempt: Attempt, now_us: int) -> bool:
        """Opens a session of a person whom an issuer has logged in, and forgives the attempt.

        False if this login was used before. Recorded in the admin audit.

        Raises:
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> bool:
            if not use_once(connection, once, now_us):
                return False
            forgive(connection, attempt, now_us)
            _open(connection, session_hash, login.person, attempt.source, now_us, is_of_link=False, issued=login)
            return True

        return self._database.write(work, Domain.IDENTITY)

    def end_issued(
        self, issuer: str, subject: str | None, sid: str | None, once: Once, source: str, now_us: int
    ) -> int | None:
        """Ends the sessions of a person of an issuer, or those of one session there; returns their number.

        None if this logout was used before. Recorded in the admin audit, for each person.

        Raises:
            ValueError: Neither a person nor a session is named.
            StoreError: The store does not answer.
        """
        given = ((_TABLE.subject, subject), (_TABLE.sid, sid))
        named = [column == value for column, value in given if value is not None]
        if not named or issuer == LOCAL_ISSUER:
            message = "expected an issuer, and a person or a session of it"
            raise ValueError(message)

        def work(connection: Connection) -> int | None:
            if not use_once(connection, once, now_us):
                return None
            ended = connection.execute(
                delete(sessions).where(_TABLE.issuer == issuer, *named).returning(_TABLE.issuer, _TABLE.subject)
            ).all()
            if ended:
                next_numbers(connection, Kind.PEOPLE)
            people = sorted({Person(row.issuer, row.subject) for row in ended})
            changes = [
                audit.Change(Actor(issuer, source), "log_out", Kind.PEOPLE.value, str(person)) for person in people
            ]
            if changes:
                audit.record(connection, changes, now_us)
            return len(ended)

        return self._database.write(work, Domain.IDENTITY)

    def add_link(self, link_hash: str, user: str, now_us: int) -> bool:
        """Stores a one-time link for a user of the operating system; False if there are people, who log in themselves.

        Raises:
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> bool:
            if not has_nobody(connection):
                return False
            link = {"hash": link_hash, "subject": user, "made_us": now_us, "expires_us": now_us + LINK_US}
            connection.execute(insert(login_links).values(**link))
            return True

        return self._database.write(work, Domain.IDENTITY)

    def use_link(self, link_hash: str, session_hash: str, attempt: Attempt, now_us: int) -> bool:
        """Opens a session by a one-time link, once, and forgives the attempt; False if the link does not work.

        A link that has ended is no guess: its attempt is forgiven too. Recorded in the admin audit.

        Raises:
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> bool:
            link = connection.execute(select(login_links).where(login_links.c.hash == link_hash)).one_or_none()
            if link is None:
                return False
            forgive(connection, attempt, now_us)
            if link.used_us is not None or now_us >= link.expires_us or not has_nobody(connection):
                return False
            used = update(login_links).where(login_links.c.hash == link_hash).values(used_us=now_us)
            connection.execute(used)
            _open(connection, session_hash, local_person(link.subject), attempt.source, now_us, is_of_link=True)
            return True

        return self._database.write(work, Domain.IDENTITY)

    def find(self, session_hash: str, now_us: int) -> Session | None:
        """The session of a hash, with its person; None if there is none in force.

        Raises:
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> Session | None:
            query = select(sessions).where(_TABLE.hash == session_hash)
            row = connection.execute(query).one_or_none()
            if row is None or now_us >= row.expires_us or now_us >= row.used_us + IDLE_US:
                return None
            named = Person(row.issuer, row.subject)
            times = (row.made_us, row.expires_us, row.used_us, row.source)
            if named.issuer != LOCAL_ISSUER:
                return Session(named, None, *times, issued=_issued(row, named))
            # Their changes end sessions already; this holds also for whoever edits the tables by hand.
            person = None if row.is_of_link else read_person(connection, row.subject)
            is_in_force = has_nobody(connection) if row.is_of_link else person is not None and person.is_active
            if not is_in_force:
                return None
            return Session(named, person, *times)

        return self._database.read(work)

    def mark_used(self, session_hash: str, now_us: int) -> None:
        """Writes the time of a use, if it is later than the one that is written.

        Raises:
            StoreError: The store does not answer.
        """
        marked = update(sessions).where(_TABLE.hash == session_hash, _TABLE.used_us < now_us)
        self._database.write(lambda at: at.execute(marked.values(used_us=now_us)), Domain.IDENTITY)

    def end(self, session_hash: str) -> None:
        """Ends a session, if there is one.

        Raises:
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> None:
            if connection.execute(delete(sessions).where(_TABLE.hash == session_hash)).rowcount:
                # Replicas end the streams that were opened with it.
                next_numbers(connection, Kind.PEOPLE)

        self._database.write(work, Domain.IDENTITY)

    def every(self, now_us: int) -> list[Session]:
        """The sessions whose time is not over, in the order of their people, also of people who were changed since.

        Raises:
            StoreError: The store does not answer.
        """
        query = (
            select(sessions)
            .where(_TABLE.expires_us > now_us, _TABLE.used_us > now_us - IDLE_US)
            .order_by(_TABLE.issuer, _TABLE.subject, _TABLE.made_us)
        )

        def session(row: Any) -> Session:  # noqa: ANN401  a row has its query's columns
            person = Person(row.issuer, row.subject)
            issued = None if person.issuer == LOCAL_ISSUER else _issued(row, person)
            return Session(person, None, row.made_us, row.expires_us, row.used_us, row.source, issued)

        return self._database.read(lambda at: [session(row) for row in at.execute(query)])

    def end_of(self, person: Person, by: Actor, reason: str, now_us: int) -> int:
        """Ends all sessions of a person; returns their number. Recorded in the admin audit.

        Raises:
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> int:
            own = (_TABLE.issuer == person.issuer, _TABLE.subject == person.subject)
            number = connection.execute(delete(sessions).where(*own)).rowcount
            if number:
                next_numbers(connection, Kind.PEOPLE)
                named = person.subject if person.issuer == LOCAL_ISSUER else str(person)
                change = audit.Change(by, "log_out", Kind.PEOPLE.value, named, reason)
                audit.record(connection, [change], now_us)
            return number

        return self._database.write(work, Domain.IDENTITY)

    def forget(self, now_us: int) -> int:
        """Deletes sessions and one-time links that are over; returns their number.

        Raises:
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> int:
            over = or_(_TABLE.expires_us <= now_us, _TABLE.used_us <= now_us - IDLE_US)
            number = connection.execute(delete(sessions).where(over)).rowcount
            links = delete(login_links).where(login_links.c.expires_us <= now_us)
            connection.execute(delete(used_logins).where(used_logins.c.until_us <= now_us))
            return number + connection.execute(links).rowcount

        return self._database.write(work, Domain.IDENTITY)


def end_all(connection: Connection) -> None:
    """Ends all sessions and one-time links, within a transaction."""
    connection.execute(delete(sessions))
    connection.execute(delete(login_links))


def use_once(connection: Connection, once: Once, now_us: int) -> bool:
    """Marks something as used, within a transaction; False if it was used before or its time is over."""
    if now_us >= once.until_us:
        return False
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    marked = dialect.insert(used_logins).values(digest=once.digest, until_us=once.until_us).on_conflict_do_nothing()
    # Not the number of rows, which a database may not tell of an insert.
    return connection.execute(marked.returning(used_logins.c.digest)).first() is not None


def _issued(row: Any, person: Person) -> IssuedLogin:  # noqa: ANN401  a row has its query's columns
    return IssuedLogin(person, row.name or "", frozenset(row.groups or ()), row.sid, row.authenticated_us)


def _open(
    connection: Connection,
    session_hash: str,
    person: Person,
    source: str,
    now_us: int,
    *,
    is_of_link: bool,
    issued: IssuedLogin | None = None,
) -> None:
    of_issuer: dict[str, Any] = {}
    if issued is not None:
        of_issuer = {
            "name": issued.name,
            "groups": sorted(issued.groups),
            "sid": issued.sid,
            "authenticated_us": issued.authenticated_us,
        }
    connection.execute(
        insert(sessions).values(
            hash=session_hash,
            issuer=person.issuer,
            subject=person.subject,
            is_of_link=is_of_link,
            made_us=now_us,
            expires_us=now_us + LONGEST_US,
            used_us=now_us,
            source=source,
            **of_issuer,
        )
    )
    own = (_TABLE.issuer == person.issuer, _TABLE.subject == person.subject)
    kept = select(_TABLE.hash).where(*own).order_by(_TABLE.made_us.desc(), _TABLE.hash).limit(MOST_SESSIONS)
    if connection.execute(delete(sessions).where(*own, _TABLE.hash != session_hash, _TABLE.hash.not_in(kept))).rowcount:
        next_numbers(connection, Kind.PEOPLE)
    action = "log_in_by_link" if is_of_link else "log_in"
    # A subject of an issuer may be spelt like the name of a local person.
    named = person.subject if issued is None else str(person)
    reason = "" if issued is None or not issued.name else f"as {issued.name}"
    change = audit.Change(Actor(str(person), source), action, Kind.PEOPLE.value, named, reason)
    audit.record(connection, [change], now_us)
