"""What serving stands on: ONNX Runtime, and a folder of its own on disk."""
