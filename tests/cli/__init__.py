"""The command line: its answers, its exit codes, its words."""
