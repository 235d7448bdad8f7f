"""The reference paper, recomputed: its tables, figures and numeric claims."""
