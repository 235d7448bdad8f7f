"""Machine code as data: cubins, disassembly, operands, control codes."""
