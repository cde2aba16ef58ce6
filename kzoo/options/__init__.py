"""What options may be: type, range, unit and where they count, declared once for checks, help and tests.

`kinds`, `quantities`, `words` and `forms` have the kinds of options, `checking` what is done with them. The tables are
`training` for `kzoo.train`, `sharing` for `kzoo.push`, `commands` for the other commands and the functions behind them,
and `building` for models and heads; `documented` reads what docstrings say of arguments. Nothing but Python's own
library is imported here, so that help comes at once.
"""

from kzoo.options.checking import check_known, check_values, checked, nearest, refuse_idle
from kzoo.options.kinds import Flag, Option, Special
from kzoo.options.quantities import Number, Size, Sizes, Whole
from kzoo.options.words import Component, Names, Place, Text, Word

__all__ = [
    "Component",
    "Flag",
    "Names",
    "Number",
    "Option",
    "Place",
    "Size",
    "Sizes",
    "Special",
    "Text",
    "Whole",
    "Word",
    "check_known",
    "check_values",
    "checked",
    "nearest",
    "refuse_idle",
]
