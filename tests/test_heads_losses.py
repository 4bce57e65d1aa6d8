"""Claims about the four losses."""

import math

import pytest
import torch

from speecheq.heads_speecheq import class_loss, ctc_loss, interval_targets, set_loss

LOGITS = torch.log(torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]))


def test_the_loss_of_a_set_is_the_log_of_its_probability():
    targets = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    assert set_loss(LOGITS, targets).item() == pytest.approx(-(math.log(0.8) + math.log(0.9)) / 2, abs=1e-6)


def test_votes_weigh_the_sets():
    votes = torch.tensor([[[0.75, 0.0, 0.0], [0.0, 0.25, 0.25]]])
    expected = -(0.75 * math.log(0.5) + 0.25 * math.log(0.5))
    assert set_loss(LOGITS[:1], votes).item() == pytest.approx(expected, abs=1e-6)


def test_a_set_of_all_classes_counts_for_nothing():
    targets = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    assert set_loss(LOGITS, targets).item() == pytest.approx(-math.log(0.5), abs=1e-6)


def test_padding_sets_give_no_nan_gradient():
    logits = LOGITS.clone().requires_grad_()
    targets = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]])
    set_loss(logits, targets).backward()
    assert logits.grad.isfinite().all()
    assert logits.grad[1].abs().sum() == 0
    torch.testing.assert_close(logits.grad[0], torch.tensor([-0.5, 0.3, 0.2]))


def test_offsets_correct_the_scores_in_the_loss():
    targets, offsets = torch.tensor([[1.0, 0.0, 0.0]]), torch.log(torch.tensor([[1.0, 1.0, 0.5]]))
    assert set_loss(LOGITS[:1], targets, offsets).item() == pytest.approx(-math.log(0.5 / 0.9), abs=1e-6)


def test_a_class_without_prior_probability_is_no_negative_example():
    logits, offsets = LOGITS[:1].clone().requires_grad_(), torch.tensor([[0.0, 0.0, -20.0]])
    set_loss(logits, torch.tensor([[1.0, 0.0, 0.0]]), offsets).backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[-0.375, 0.375, 0.0]]))


def levels(low: float, high: float) -> torch.Tensor:
    return interval_targets(torch.tensor([[low, high]]), 5)[0]


def test_an_interval_is_the_set_of_the_levels_in_it():
    assert levels(0.25, 0.8).tolist() == [[0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]
    assert levels(0.125, 0.375)[0].tolist() == [0, 1, 0, 0, 0]


def test_a_point_on_a_level_is_that_level():
    assert levels(0.75, 0.75)[0].tolist() == [0, 0, 0, 1, 0]
    assert levels(0.0, 0.0)[0].tolist() == [1, 0, 0, 0, 0]
    assert levels(1.0, 1.0)[0].tolist() == [0, 0, 0, 0, 1]


def test_a_point_between_levels_is_shared_so_that_the_expectation_is_the_point():
    target = levels(0.35, 0.35)
    torch.testing.assert_close(target, torch.tensor([[0, 0.6, 0, 0, 0], [0, 0, 0.4, 0, 0]]))
    assert (target.sum(0) * torch.linspace(0, 1, 5)).sum().item() == pytest.approx(0.35)


def test_an_interval_between_two_levels_counts_as_its_middle():
    torch.testing.assert_close(levels(0.3, 0.4), levels(0.35, 0.35))


def test_a_missing_interval_says_nothing():
    assert set_loss(torch.randn(1, 5), interval_targets(torch.tensor([[-100.0, -100.0]]), 5)) == 0


def test_the_shared_point_is_what_minimises_the_loss():
    targets = interval_targets(torch.tensor([[0.35, 0.35]]), 5)
    logits = torch.zeros(1, 5, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(500):
        optimizer.zero_grad()
        set_loss(logits, targets).backward()
        optimizer.step()
    expectation = (logits.softmax(-1) * torch.linspace(0, 1, 5)).sum()
    assert expectation.item() == pytest.approx(0.35, abs=0.01)


def test_ctc_is_per_symbol_and_leaves_missing_rows_out():
    torch.manual_seed(0)
    logits = torch.randn(2, 6, 4)
    labels = torch.tensor([[1, 2, -100], [-100, -100, -100]])
    lengths = torch.tensor([6, 4])
    stock = torch.nn.functional.ctc_loss(
        logits[:1].log_softmax(-1).transpose(0, 1), labels[:1, :2], [6], [2], reduction="sum"
    )
    torch.testing.assert_close(ctc_loss(logits, lengths, labels), stock / 2)


def test_ctc_reads_the_real_frames_only():
    torch.manual_seed(0)
    logits = torch.randn(1, 8, 4)
    longer = torch.cat([logits, torch.randn(1, 5, 4)], dim=1)
    labels = torch.tensor([[1, 2, 3]])
    torch.testing.assert_close(
        ctc_loss(longer, torch.tensor([8]), labels), ctc_loss(logits, torch.tensor([8]), labels)
    )


def test_ctc_gives_zero_where_no_symbol_fits_or_none_is_given():
    logits = torch.randn(1, 2, 4, requires_grad=True)
    assert ctc_loss(logits, torch.tensor([2]), torch.tensor([[1, 1, 1]])) == 0
    loss = ctc_loss(logits, torch.tensor([2]), torch.tensor([[-100]]))
    loss.backward()
    assert loss == 0
    assert logits.grad.abs().sum() == 0


def test_class_loss_leaves_missing_rows_out():
    loss = class_loss(LOGITS, torch.tensor([1, -100]))
    assert loss.item() == pytest.approx(-math.log(0.3), abs=1e-6)
    assert class_loss(LOGITS, torch.tensor([-100, -100])) == 0
