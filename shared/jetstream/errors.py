"""What can be wrong with a stream.

DatabaseUnavailable
* StreamUnavailable
  x StreamUnfit
"""

from shared.errors import DatabaseUnavailable


class StreamUnavailable(DatabaseUnavailable):
    """JetStream cannot be reached, has no leader, or has not yet what was asked for; it may soon."""


class StreamUnfit(StreamUnavailable):
    """The stream is not this log's, or not as it must be; somebody has to see to it."""
