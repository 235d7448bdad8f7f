"""Networks: layers, shapes, definitions and counters."""
