"""What options may be: type, range, unit and where they count, declared once for checks, help and tests.

`kinds` has the kinds of options, `checking` what is done with them; the tables are `kzoo.training.config.TrainConfig`
for a training, `commands` for the other commands and the functions behind them, and `building` for models and heads.
Nothing but Python's own library is imported here, so that help comes at once.
"""

from kzoo.options.checking import check_given, check_known, checked, declared, nearest, refuse_idle
from kzoo.options.kinds import Flag, Names, Number, Option, Place, Size, Sizes, Text, Whole, Word

__all__ = [
    "Flag",
    "Names",
    "Number",
    "Option",
    "Place",
    "Size",
    "Sizes",
    "Text",
    "Whole",
    "Word",
    "check_given",
    "check_known",
    "checked",
    "declared",
    "nearest",
    "refuse_idle",
]
