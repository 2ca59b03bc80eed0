"""The subject of the handbook: one pattern a module, ready to be copied into a service of your own."""
