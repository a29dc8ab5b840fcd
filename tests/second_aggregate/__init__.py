"""A second aggregate, added as an integrator would, and the proof that it needs no engine file changed."""
