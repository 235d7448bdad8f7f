"""What is likely to make a launch slow, with the evidence and an upper bound on the gain."""
