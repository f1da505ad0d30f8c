"""What features decides: pure, no I/O."""
