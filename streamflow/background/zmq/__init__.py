"""Records as ZeroMQ messages."""
