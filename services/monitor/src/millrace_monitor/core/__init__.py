"""The monitor's mathematics and memory: pure, one idea a file."""
