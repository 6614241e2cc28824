"""The keys that a study has: read from the source of the classes, so that PyTorch need not be imported to know them."""

from tutelage.values.schema.below import flag_names, flags_of
from tutelage.values.schema.flags import Flags, check_flags, lay_over, pair_up
from tutelage.values.schema.keys import check_keys

__all__ = ["Flags", "check_flags", "check_keys", "flag_names", "flags_of", "lay_over", "pair_up"]
