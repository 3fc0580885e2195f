"""A paper's notebook and its parameters, read without executing anything."""
