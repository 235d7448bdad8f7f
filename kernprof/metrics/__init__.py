"""The metric vocabulary: names, aliases per architecture, units, stall reasons, how to collect."""
