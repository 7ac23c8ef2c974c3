"""The rules that touch nothing, proved without anything."""
