"""Where objects may be, found without training: selective search, kept on disk, and how many objects it finds.

Example:
    >>> boxes = kzoo.proposals.selective_search(image, mode="fast", min_side=20)
    >>> boxes = kzoo.proposals.ProposalCache()(image, mode="fast", min_side=20)  # once an image
"""

from kzoo.proposals.cache import ProposalCache
from kzoo.proposals.recall import recall
from kzoo.proposals.search import MODES, Search, selective_search

__all__ = ["MODES", "ProposalCache", "Search", "recall", "selective_search"]
