"""What a team writes: events, features, label, model, pipeline."""
