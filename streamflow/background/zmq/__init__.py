"""A channel through a ZMQ socket."""
