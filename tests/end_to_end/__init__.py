"""Both services as processes, over HTTP."""
