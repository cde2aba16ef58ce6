"""From photographs, folders and videos to results."""
