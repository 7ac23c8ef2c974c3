"""The program with one bug in it, again and again: the suites must find each, or their silence means nothing."""
