"""Serving over HTTP: a raw ASGI callable for the hot paths, FastAPI behind it for docs and admin."""
