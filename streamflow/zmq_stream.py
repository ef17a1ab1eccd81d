class ZMQStreamer:
    pass
