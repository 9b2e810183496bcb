"""The magics: options, commands, completion, and what a cell does."""
