"""What the trainer touches: Delta Lake, SQLite, LightGBM, scikit-learn, ONNX. One library each."""
