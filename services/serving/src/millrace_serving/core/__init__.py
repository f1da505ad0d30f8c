"""What serving computes: pure, no clock, no randomness, no I/O."""
