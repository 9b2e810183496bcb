"""``map()``: one question for each row of a column, many at once. The public functions are in ``mapping.py``."""
