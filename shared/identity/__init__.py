"""Who sends a request: access tokens (JWT), and the keys that they are signed with. Nothing here knows HTTP's answers."""
