"""Damaged reports by the thousand, to see whether what they lost is ever lost without a word.

``python -m validation.damage --reports FOLDER --count 10000 --seed 1`` takes reports that can be
read, damages them, reads them again in processes of limited time and memory, and compares with what
the undamaged report holds.
"""
