"""The log as NATS JetStream carries it: one stream, in which an event's sequence is its position.

Whoever imports from here needs nats-py, which `daicho[nats]` installs.
"""
