"""Turning layers into kernel launches."""
