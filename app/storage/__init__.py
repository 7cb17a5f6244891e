"""All SQL and all files. A function here takes an open transaction; its caller commits."""
