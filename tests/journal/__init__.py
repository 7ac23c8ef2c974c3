"""The log and the launch journal, tested on real files."""
