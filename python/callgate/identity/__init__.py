"""People and machines that may administer: their roles, passwords, tokens and sessions. It knows no face."""
