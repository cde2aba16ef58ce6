"""Files of pictures: which ones a path means, images and videos read to RGB arrays, and both written whole."""

from kzoo.sources.live import Stream, is_live
from kzoo.sources.paths import VIDEO_SUFFIXES, chunks, expand, is_video
from kzoo.sources.video import Video
from kzoo.sources.writing import VideoWriter, writing_video

__all__ = [
    "VIDEO_SUFFIXES",
    "Stream",
    "Video",
    "VideoWriter",
    "chunks",
    "expand",
    "is_live",
    "is_video",
    "writing_video",
]
