"""`imrestore serve`: the networks as a service over HTTP."""

from imrestore.serve.command import serve

__all__ = ["serve"]
