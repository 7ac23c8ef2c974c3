"""The installed program at a terminal, from launch to log line: nothing of ours stands between it and the reader."""
