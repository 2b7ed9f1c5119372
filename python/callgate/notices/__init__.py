"""Messages to people and programs about approvals: who gets which, their forms, and their delivery."""
