"""The site: labs into MkDocs, cells into pages, gates over pages, coverage, build and a reader's server."""
