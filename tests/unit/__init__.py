"""Pure: no I/O, under a second in all."""
