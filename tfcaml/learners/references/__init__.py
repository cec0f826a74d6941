"""What meta-learning is compared with: policies that are not meta-learned."""
