"""Who may do what: roles, the table of what each command needs, people, and how they stand at this moment."""
