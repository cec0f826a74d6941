"""Learners from demonstrations: meta-imitation, and what it is compared with."""
