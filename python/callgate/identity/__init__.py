"""Who may administer: people and machines, their roles, passwords, tokens and sessions. It knows no face."""
