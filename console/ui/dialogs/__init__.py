"""Dialogs over a screen: questions, the help, the command palette, leaving the console."""
