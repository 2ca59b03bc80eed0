"""The tooling: stack, labs, gates and site. It knows no pattern; `snippets` does."""
