"""Predictions over HTTP and of the stream."""
