"""What results are shown as: tables, statistics, TensorBoard, pictures."""
