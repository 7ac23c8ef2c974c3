"""Files that outlive a process: the run log, derived from the database, and the journal of run ids received."""
