"""Lines that outlive a process, proved on real files."""
