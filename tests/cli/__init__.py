"""Tests of the command line: output, exit codes and messages."""
