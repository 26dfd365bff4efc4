"""One decision, one pure function, one file: the function reads a situation and returns a choice with its reasons."""
