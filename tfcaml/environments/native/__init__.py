"""Task families that are TensorFlow throughout."""
