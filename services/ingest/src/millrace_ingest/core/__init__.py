"""What arrives, cut into events and made into records; and when a replayed event is due. No I/O."""
