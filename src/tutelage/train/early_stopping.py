"""The callback that ends a run which no longer gets better."""

from tutelage.errors import UserError
from tutelage.train.callback import Callback, Moment


class EarlyStopping(Callback):
    """Ends a run that no longer gets better on the part of train that `train.validation` holds out.

    After every epoch the network is compared with the best epoch so far, by Delta of the main metrics (`BestEpoch`).
    The schedule of the learning rate stays that of `train.epochs`. `train.keep: best` makes the best epoch the result;
    otherwise it is the last one.

    Args:
        patience: epochs in a row that are not better, after which the run ends.
    """

    needs_validation = True

    def __init__(self, patience: int = 10) -> None:
        if patience < 1:
            raise UserError(f"train.callbacks: expected a patience of at least 1 epoch, found {patience}")
        self.patience = patience

    def after_epoch(self, moment: Moment) -> None:
        """Stop if the best epoch is `patience` epochs ago."""
        if moment.epochs_since_best >= self.patience:
            moment.stop(f"no epoch of the last {self.patience} was better on the validation part of train")
