"""ONNX files: sessions, metadata."""
