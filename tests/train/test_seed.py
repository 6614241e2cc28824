import torch

from tutelage.train.seed import set_seed


def test_the_numbers_are_those_of_torchs_own() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2**62 + 3)
        expected = torch.rand(3)
        set_seed(2**62 + 3, torch.device("cpu"))
        assert torch.equal(torch.rand(3), expected)
