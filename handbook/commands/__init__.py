"""One module a command group; each parses, calls a tested function and prints."""
