"""What the trainer computes: arrays and frozen values, no clock, no randomness, no I/O."""
