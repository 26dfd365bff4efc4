"""Runs that nobody waits for: handed in, admitted, followed, ended."""
