"""Files of pictures: which ones a path means, images and videos read to RGB arrays, and both written whole."""

from kzoo.sources.paths import VIDEO_SUFFIXES, chunks, expand, is_video
from kzoo.sources.video import Video, VideoWriter, writing_video

__all__ = ["VIDEO_SUFFIXES", "Video", "VideoWriter", "chunks", "expand", "is_video", "writing_video"]
