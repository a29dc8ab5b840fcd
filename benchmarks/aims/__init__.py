"""One module for each aim: `measure` runs its legs in turn and gives what it found."""
