"""Answers for a reader: text on a terminal."""
