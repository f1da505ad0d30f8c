"""predictions over HTTP and of the stream."""
