"""The site: labs and cells into pages, gates over pages, coverage, build and a server."""
