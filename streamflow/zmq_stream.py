class ZMQStreamer: pass
