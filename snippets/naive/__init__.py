"""The broken variants: the first line of each module says what it loses."""
