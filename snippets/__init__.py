"""The subject of the handbook: one pattern a module, to be copied into your own service."""
