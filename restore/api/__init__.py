"""The public functions: each checks its arguments and calls what the commands call."""
