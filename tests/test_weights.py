"""Several networks' weights as one vector."""

import copy

import pytest
import torch
from torch import nn

from gannet.weights import FlatWeights


def networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {"first": nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2)), "second": nn.Conv2d(2, 3, 3)}


def test_flattening_changes_no_weight_and_every_parameter_is_a_view_of_the_vector() -> None:
    nets = networks()
    before = {name: copy.deepcopy(net.state_dict()) for name, net in nets.items()}
    weights = FlatWeights(nets)
    for name, net in nets.items():
        assert all(torch.equal(value, before[name][key]) for key, value in net.state_dict().items())
        assert weights.part(name).numel() == sum(weight.numel() for weight in net.parameters())
    with torch.no_grad():
        weights.vector.fill_(7.0)
    assert all((weight == 7).all() for net in nets.values() for weight in net.parameters())


@pytest.mark.parametrize("optimiser", [torch.optim.Adam, torch.optim.RMSprop, torch.optim.SGD])
def test_stepping_the_vector_equals_stepping_the_parameters_bit_for_bit(optimiser) -> None:
    nets, twins = networks(), networks()
    weights = FlatWeights(nets)
    flat = optimiser([weights.own], lr=0.01)
    separate = optimiser([weight for net in twins.values() for weight in net.parameters()], lr=0.01)
    for step in range(5):
        for players in (nets, twins):
            torch.manual_seed(step)
            inputs, pictures = torch.randn(4, 3), torch.randn(2, 2, 5, 5)
            (players["first"](inputs).square().sum() + players["second"](pictures).square().sum()).backward()
        weights.collect()
        flat.step()
        separate.step()
        separate.zero_grad()
    for name, net in nets.items():
        for ours, theirs in zip(net.parameters(), twins[name].parameters(), strict=True):
            assert torch.equal(ours, theirs)


def test_collecting_empties_the_parameters_gradients_and_fills_zero_where_a_weight_had_no_part() -> None:
    nets = networks()
    weights = FlatWeights(nets)
    nets["first"](torch.ones(2, 3)).sum().backward()
    weights.collect()
    gradient = weights.own.grad
    assert gradient[weights.spans["first"]].any() and not gradient[weights.spans["second"]].any()
    assert all(weight.grad is None for net in nets.values() for weight in net.parameters())


def test_weights_that_do_not_learn_collect_nothing() -> None:
    nets = networks()
    weights = FlatWeights(nets)
    weights.learn(False)
    assert not nets["first"](torch.ones(2, 3)).requires_grad
    weights.learn(True)
    assert nets["first"](torch.ones(2, 3)).requires_grad
