"""predictions and labels in, alerts and retrain requests out."""
