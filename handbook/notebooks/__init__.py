"""The labs as files: look-up, structural gate, run, compare, regenerate."""
