"""Events in over HTTP and from files, checked, onto raw-data."""
