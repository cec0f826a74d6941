"""What leads to where rewards are: episodes that others play too, and a bonus for what is new."""
