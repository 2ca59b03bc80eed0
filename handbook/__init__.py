"""The tooling of the handbook: stack, labs, gates and site. It knows no pattern; `snippets` does."""
