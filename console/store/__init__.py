"""The state store: everything that must outlive a process, in one SQLite database per state folder."""
