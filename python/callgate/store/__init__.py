"""The store: approvals, permits, freezes and what is managed while callgate runs, in SQLite or PostgreSQL.

`open.open_store` opens it. Nothing is imported here, because most commands need no store and SQLAlchemy takes long to
import. The store knows no face: time, random ids and the names of people are arguments.
"""
