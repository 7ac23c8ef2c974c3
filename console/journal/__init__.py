"""Lines that outlive a process: the run log, derived from the store, and the journal of ids received."""
