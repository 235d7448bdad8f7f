"""From a profile to the rows of Table V: stall classes, verdict, instructions."""
