"""The core install has no solvers: methods that need one say so, all others work without."""

import subprocess
import sys

import pytest

SOLVERS = ("cvxpy", "clarabel", "ecos", "qpsolvers", "quadprog", "scipy", "osqp", "scs")
SOLVED = ("UPGrad", "UPGradWeighting", "DualProj", "DualProjWeighting", "CAGrad", "CAGradWeighting", "NashMTL")
SOLVED += ("FairGrad", "FairGradWeighting")

PROGRAM = f"""
import sys
import torchmetrics  # it asks the metadata of packages, which still have SciPy
sys.modules.update(dict.fromkeys({SOLVERS!r}))  # as if they were not installed

import torch
from torchjd import aggregation, scalarization
from tutelage.balance import DBMTL, IMTLH, GradDrop, GradNorm, MoCo, ScaleInvariant, Uncertainty, Uniform
from tutelage.balance import Aggregator, IndependentDraws, Scalarizer
from tutelage.errors import UserError
from tests.balance.gradient_model import batch, build, grads, step

ARGUMENTS = {{
    "CAGrad": {{"c": 0.4}}, "CAGradWeighting": {{"c": 0.4}}, "ConstantWeighting": {{"weights": 1.0}},
    "Constant": {{"weights": 1.0}}, "COSMOS": {{"weights": 1.0, "lambda_": 1.0}},
    "PBI": {{"weights": 1.0, "theta": 1.0}}, "STCH": {{"mu": 1.0}}, "FairGrad": {{"alpha": 1.0}},
    "FairGradWeighting": {{"alpha": 1.0}},
    "Krum": {{"n_byzantine": 0, "n_selected": 1}}, "KrumWeighting": {{"n_byzantine": 0, "n_selected": 1}},
    "TrimmedMean": {{"trim_number": 1}}, "CRMOGMWeighting": {{"weighting": "MGDAWeighting"}},
}}
BASES = {{"Aggregator", "Weighting", "Scalarizer", "GramianWeightedAggregator", "WeightedAggregator"}}
DRAWS = {{"MoDoWeighting": {{"gamma": 0.1, "rho": 0.0}}, "SDMGradWeighting": {{}}}}


def names(module):
    return [n for n in module.__all__ if isinstance(getattr(module, n), type) and n not in BASES]


def balancers():
    for cls in (DBMTL, IMTLH, GradDrop, GradNorm, MoCo, ScaleInvariant, Uncertainty, Uniform):
        yield cls.__name__, cls()
    for name in names(scalarization):
        yield name, Scalarizer(name, ARGUMENTS.get(name))
    for name in names(aggregation):
        if name in DRAWS:
            yield name, IndependentDraws(name, DRAWS[name])
        else:
            yield name, Aggregator(name, ARGUMENTS.get(name))


for name, balancer in balancers():
    try:
        net, _ = build(balancer)
    except UserError as error:
        print(name, error)
        continue
    step(balancer, net, None, *(batch(i, i + 1) for i in range(balancer.draws)))
    assert all(grad is None or grad.isfinite().all() for grad in grads(net).values()), name
    print(name, "works")
"""


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    """What becomes of every method in a process without solvers."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def test_a_method_without_its_solver_names_the_extra(outcomes: dict[str, str]) -> None:
    for name in SOLVED:
        assert outcomes[name] == (
            f"balancer.method: expected the solvers that {name} needs, found none; pip install 'tutelage[balancing]'"
        )


def test_all_other_methods_work_without_solvers(outcomes: dict[str, str]) -> None:
    others = {name: outcome for name, outcome in outcomes.items() if name not in SOLVED}
    assert len(others) > 30
    assert set(others.values()) == {"works"}, others
