"""Kills real engine processes at named steps and at system calls: no launch is lost or doubled."""
