"""What changed between two profiles of a kernel, and what explains the difference."""
