"""Where objects may be, found without training: selective search, kept on disk, and how many objects it finds.

Example:
    >>> boxes = kzoo.proposals.selective_search(image, mode="fast", min_side=20)
    >>> boxes = kzoo.proposals.ProposalCache()(image, mode="fast", min_side=20)  # once an image
"""

from kzoo.proposals.cache import ProposalCache
from kzoo.proposals.proposer import Proposer
from kzoo.proposals.recall import recall
from kzoo.proposals.search import MODES, Search, selective_search

__all__ = ["MODES", "ProposalCache", "Proposer", "Search", "recall", "selective_search"]
