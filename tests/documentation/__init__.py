"""What the pages say is so: every name in them exists, every name of the code that belongs there is in them."""
