"""Pages over the current screen that are read once: the agenda and the audit."""
