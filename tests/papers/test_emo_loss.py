"""EMO's losses: the authors' numbers, fused against plain, gradients, precision, and the error sentences."""

import re

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings, strategies as st

from workbench.errors import UsageError
from workbench.papers.emo import VARIANTS, baseline_loss, chunk, emo_loss, fused, fused_emo_loss, linear, variant
from workbench.papers.emo.loss import expected_cost

# loss, ‖d hidden‖, ‖dW‖ in float64, computed once with the authors' code (the project's card of the paper)
AUTHORS = {
    "ce": (3.9246516513960858, 0.82277612190875182, 2.0664313293007504),
    "emo1_adaptive": (3.924651651245779, 0.49301539949716489, 1.2641745175423102),
    "emo2_adaptive": (2.1530964453076358, 0.24655540293226516, 0.81023801185429101),
    "emo2_fixed": (2.4513474289424813, 0.36292685900207083, 2.3500443049833928),
    "lm_script": (3.9246516511894805, 0.39067012315706662, 2.0698084351777335),
    "instruction": (3.9246516511950951, 0.38704805988161017, 2.0068161498915935),
    "continual": (2.8879227195726171, 0.38963710914769251, 1.4441734665808936),
    "pypi1": (2.8871136813997742, 0.39317804391535621, 1.5038936099073263),
    "pypi2": (2.0462481936876067, 0.30399631146296269, 1.9890950832709073),
    "mixce": (2.0556678241415418, None, None),
    "tvd": (2.4398528734362004, None, None),
}


def vector():
    a = lambda n: torch.arange(n, dtype=torch.float64)  # noqa: E731
    weight = torch.sin(1 + a(28)).reshape(7, 4).requires_grad_()
    cost = torch.cos(0.3 * a(28) + 0.2).reshape(7, 4)
    hidden = (2 * torch.cos(0.5 * a(24))).reshape(1, 6, 4).requires_grad_()
    return hidden, weight, cost, torch.tensor([[0, 3, 6, -100, 2, 5]])


def check_against_authors(name, loss, hidden, weight):
    loss.backward()
    expected = AUTHORS[name]
    assert loss.item() == pytest.approx(expected[0], rel=1e-12)
    if expected[1] is not None:
        assert hidden.grad.norm().item() == pytest.approx(expected[1], rel=1e-12)
        assert weight.grad.norm().item() == pytest.approx(expected[2], rel=1e-12)


@pytest.mark.parametrize("name", AUTHORS)
def test_the_authors_numbers(name):
    hidden, weight, cost, labels = vector()
    logits = hidden @ weight.T
    chosen = VARIANTS.get(name)
    if chosen is not None and chosen.is_emo:
        loss = emo_loss(logits, labels, weight if chosen.cost_embedding == "head" else cost, **chosen.settings)
    else:
        loss = baseline_loss(logits, labels, **(chosen.settings if chosen else {"form": "ce"}))
    check_against_authors(name, loss, hidden, weight)


@pytest.mark.parametrize("name", [n for n in AUTHORS if n in VARIANTS and VARIANTS[n].is_emo])
def test_the_authors_numbers_fused(name):
    hidden, weight, cost, labels = vector()
    own = VARIANTS[name].cost_embedding == "head"
    loss = fused_emo_loss(hidden, weight, labels, cost_embedding=None if own else cost, **VARIANTS[name].settings)
    check_against_authors(name, loss, hidden, weight)


@st.composite
def problems(draw):
    b, t = draw(st.integers(1, 3)), draw(st.integers(2, 6))
    v, h = draw(st.integers(2, 12)), draw(st.integers(1, 6))
    g = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    scale = draw(st.sampled_from([0.1, 1.0, 4.0]))
    hidden = (scale * torch.randn(b, t, h, generator=g, dtype=torch.float64)).requires_grad_()
    weight = torch.randn(v, h, generator=g, dtype=torch.float64).requires_grad_()
    bias = torch.randn(v, generator=g, dtype=torch.float64).requires_grad_() if draw(st.booleans()) else None
    cost = torch.randn(v, 3, generator=g, dtype=torch.float64) if draw(st.booleans()) else None
    labels = torch.randint(0, v, (b, t), generator=g)
    ignored = draw(st.sampled_from(["none", "some", "all"]))
    if ignored == "all":
        labels[:] = -100
    elif ignored == "some":
        labels[torch.rand(b, t, generator=g) < 0.4] = -100
    options = dict(
        form=draw(st.sampled_from(["emo1", "emo2"])),
        corrected=draw(st.booleans()),
        ratio_cap=draw(st.sampled_from([None, 3.0])),
        shift=draw(st.booleans()),
        reduction=draw(st.sampled_from(["mean", "sum", "none"])),
    )
    return (
        hidden,
        weight,
        bias,
        cost,
        labels,
        options,
        draw(st.sampled_from([1, 2, 3, 7, 20, "auto"])),
        draw(st.sampled_from([1.0, 0.3, 1e3])),
    )


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(problems())
def test_fused_equals_plain(problem):
    check_fused_equals_plain(problem)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(problems(), st.sampled_from([1, 2, 5]), st.sampled_from([1, 2, 100]))
def test_fused_equals_plain_by_blocks_of_the_vocabulary(problem, least_rows, least_chunk):
    """Blocks of few vocabulary rows, and chunks within the gradient's own memory down to one row, or none at all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "CACHE_BYTES", 1)
        patch.setattr(linear, "LEAST_ROWS", least_rows)
        patch.setattr(chunk, "LEAST_CHUNK", least_chunk)
        check_fused_equals_plain(problem)


def check_fused_equals_plain(problem):
    hidden, weight, bias, cost, labels, options, rows, scale = problem
    logits = hidden @ weight.T + (0 if bias is None else bias)
    with torch.no_grad():  # the ratios L/D and D/L multiply the rounding of a vanishing D or L by up to 1e10
        z, every = (logits[:, :-1], labels[:, 1:]) if options["shift"] else (logits, labels)
        log_q, every = torch.log_softmax(z.reshape(-1, len(weight)), -1), every.clamp(min=0).flatten()
        assume(expected_cost(log_q, every, weight if cost is None else cost, False).min() > 1e-3)
        if options["form"] == "emo2":  # L itself has an absolute rounding of 1e-16, in either way of computing it
            assume(-log_q.gather(1, every[:, None]).min() > 1e-4)
    plain = emo_loss(logits, labels, weight if cost is None else cost, **options)
    fused = fused_emo_loss(hidden, weight, labels, bias=bias, cost_embedding=cost, chunk_size=rows, **options)
    assert torch.isfinite(fused).all()
    torch.testing.assert_close(fused, plain, rtol=1e-10, atol=1e-10)
    leaves = [x for x in (hidden, weight, bias) if x is not None]
    upstream = torch.linspace(0.5, 1, plain.numel(), dtype=plain.dtype).reshape(plain.shape) * scale
    expected = torch.autograd.grad(plain, leaves, upstream)
    first = [g.clone() for g in torch.autograd.grad(fused, leaves, upstream, retain_graph=True)]
    second = torch.autograd.grad(fused, leaves, upstream)  # retained: made again, and equal
    for e, f, s in zip(expected, first, second):
        torch.testing.assert_close(f, e, rtol=1e-10, atol=1e-10 * scale)
        torch.testing.assert_close(s, e, rtol=1e-10, atol=1e-10 * scale)


def test_all_ignored_is_zero():
    hidden, weight, cost, labels = vector()
    for loss in (
        emo_loss(hidden @ weight.T, labels * 0 - 100, cost),
        fused_emo_loss(hidden, weight, labels * 0 - 100, cost_embedding=cost),
    ):
        loss.backward()
        assert loss.item() == 0
        assert hidden.grad.abs().max() == 0


@pytest.mark.parametrize("form", ["emo1", "emo2"])
def test_gradient_of_the_frozen_ratio_surrogate(form):
    """The stop-gradient makes the loss no function to differentiate; with its ratio frozen it is one."""
    hidden, weight, cost, labels = vector()
    fused_emo_loss(hidden, weight, labels, cost_embedding=cost, form=form).backward()
    targets, keep = labels[0, 1:].clamp(min=0), labels[0, 1:] != -100
    unit = cost / cost.norm(dim=1, keepdim=True)

    def parts(h, w):
        log_q = torch.log_softmax(h[0, :-1] @ w.T, -1)
        likelihood = -log_q[torch.arange(5), targets]
        similarity = unit[targets] @ unit.T
        return likelihood, 1 - (log_q.exp() * similarity).sum(1), log_q.exp()[torch.arange(5), targets]

    with torch.no_grad():
        likelihood, d, own = parts(hidden, weight)
        d = d + own  # D+, whose gradient is D's
        ratio = likelihood / d if form == "emo1" else d / likelihood

    def surrogate(h, w):
        likelihood, d, _ = parts(h, w)
        rows = 0.5 * (likelihood + ratio * d) if form == "emo1" else ratio * likelihood + d
        return rows[keep].sum() / keep.sum()

    h, w = hidden.detach().clone().requires_grad_(), weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(surrogate, (h, w))
    surrogate(h, w).backward()
    torch.testing.assert_close(hidden.grad, h.grad, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(weight.grad, w.grad, rtol=1e-8, atol=1e-10)


def test_emo1_value_is_cross_entropy_but_its_gradient_is_not():
    hidden, weight, cost, labels = vector()
    loss = fused_emo_loss(hidden, weight, labels, cost_embedding=cost)
    plain = baseline_loss(hidden @ weight.T, labels, form="ce")
    assert loss.item() == pytest.approx(plain.item(), abs=1e-8)
    (a,), (b,) = torch.autograd.grad(loss, hidden), torch.autograd.grad(plain, hidden)
    assert (a - b).norm() > 0.1 * b.norm()


def relative(a, b):
    return ((a.double() - b).norm() / b.norm()).item()


def large(kind=torch.float64, v=49152, n=12, h=48):
    g = torch.Generator().manual_seed(3)
    hidden = torch.randn(n, h, generator=g, dtype=torch.float64)
    weight = torch.randn(v, h, generator=g, dtype=torch.float64) * 3 / h**0.5
    labels = torch.randint(0, v, (n,), generator=g)
    return hidden.to(kind).requires_grad_(), weight.to(kind).requires_grad_(), labels


def gradients(hidden, weight, labels, **options):
    fused_emo_loss(hidden, weight, labels, shift=False, **options).backward()
    return hidden.grad, weight.grad


def test_float32_at_a_real_vocabulary():
    single = large(torch.float32)
    exact = gradients(*(x.detach().double().requires_grad_() for x in single[:2]), single[2])
    for ours, theirs in zip(gradients(*single), exact):
        assert relative(ours, theirs) < 1e-5


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("cores", [False, True])
def test_half_precision(kind, cores, monkeypatch, record_property):
    """Products in float32 by blocks (CPU), and the path a GPU takes (half products), run on the CPU here."""
    monkeypatch.setattr(linear, "tensor_cores", lambda x: cores)
    half = large(kind, v=5000)
    exact = gradients(*(x.detach().double().requires_grad_() for x in half[:2]), half[2])
    ours = gradients(*half, chunk_size=5)
    errors = [relative(o, e) for o, e in zip(ours, exact)]
    record_property("relative_gradient_errors", errors)
    print(f"{kind}, half products {cores}: gradient errors {errors[0]:.1e} (hidden), {errors[1]:.1e} (head)")
    assert ours[0].dtype == ours[1].dtype == kind
    assert max(errors) < (0.02 if cores else 4e-3)  # bfloat16 itself rounds to 2e-3


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("cores", [False, True])
def test_float16_under_a_loss_scaler(cores, frozen, monkeypatch):
    """A scaler's factor arrives with backward; gradients over a large count must not have underflowed by then."""
    for module in (linear, fused):
        monkeypatch.setattr(module, "tensor_cores", lambda x: cores and x.dtype == torch.float16)
    hidden, weight, labels = large(torch.float16, v=5000)
    weight = weight.detach().requires_grad_(not frozen)
    exact = hidden.detach().double().requires_grad_(), weight.detach().double().requires_grad_(not frozen)
    for states, head in (exact, (hidden, weight)):
        (65536 * fused_emo_loss(states, head, labels, shift=False, num_items_in_batch=100_000)).backward()
    assert hidden.grad.dtype == torch.float16
    assert relative(hidden.grad, exact[0].grad) < (1e-2 if cores else 5e-4)
    if not frozen:
        assert relative(weight.grad, exact[1].grad) < (1e-2 if cores else 5e-4)


def test_tied_heads_and_accumulation():
    """A head that is also the embedding; and two half batches divided by the whole count equal one batch."""
    torch.manual_seed(0)
    table = torch.randn(9, 4, dtype=torch.float64, requires_grad=True)
    ids = torch.randint(0, 9, (4, 6))
    fused_emo_loss(torch.tanh(table[ids]), table, ids).backward()
    expected, table.grad = table.grad, None
    emo_loss(torch.tanh(table[ids]) @ table.T, ids, table).backward()
    torch.testing.assert_close(table.grad, expected)
    table.grad = None
    for half in ids.split(2):
        fused_emo_loss(torch.tanh(table[half]), table, half, num_items_in_batch=20).backward()
    torch.testing.assert_close(table.grad, expected)


def test_active_columns_approach_the_exact_loss():
    hidden, weight, labels = large(v=2000)
    exact = [g.clone() for g in gradients(hidden, weight, labels)]
    errors = []
    for eps in (1e-1, 1e-2, 1e-3, 1e-12):
        hidden.grad = weight.grad = None
        errors.append(max(relative(a, e) for a, e in zip(gradients(hidden, weight, labels, active_eps=eps), exact)))
    assert errors[0] > errors[1] > errors[2] > errors[3]
    assert errors[2] < 0.03 and errors[3] < 1e-10


@pytest.mark.parametrize("rows", [3, 40, 130])
def test_the_gradients_memory_holds_the_buffers(rows, monkeypatch):
    """Few rows, as many as fit, more than fit into the gradient's memory: the same numbers, with own costs too."""
    monkeypatch.setattr(linear, "LEAST_ROWS", 64)
    monkeypatch.setattr(linear, "CACHE_BYTES", 1)
    taken = []
    plain_chunk = chunk.exact_chunk
    monkeypatch.setattr(chunk, "exact_chunk", lambda h, *rest: taken.append(len(h)) or plain_chunk(h, *rest))
    hidden, weight, labels = large(v=700, n=rows, h=64)
    bias, cost = (torch.randn(700, *s, dtype=torch.float64) for s in ((), (5,)))
    for options in ({}, {"bias": bias.requires_grad_(), "cost_embedding": cost}):
        taken.clear()
        leaves = [hidden, weight, *([bias] if options else [])]
        logits = hidden @ weight.T + options.get("bias", 0)
        plain = emo_loss(logits, labels, options.get("cost_embedding", weight), shift=False)
        fused = fused_emo_loss(hidden, weight, labels, shift=False, **options)
        for ours, theirs in zip(torch.autograd.grad(fused, leaves), torch.autograd.grad(plain, leaves)):
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
        assert taken == {3: [3], 40: [32, 8], 130: [32, 16]}[rows]  # H/2, H/4; what remains of 130 has a buffer


def test_no_graph_no_gradient_work():
    hidden, weight, cost, labels = vector()
    with torch.no_grad():
        assert not fused_emo_loss(hidden, weight, labels, cost_embedding=cost).requires_grad
    frozen = fused_emo_loss(hidden, weight.detach(), labels, cost_embedding=cost)
    frozen.backward()
    assert hidden.grad is not None


def test_second_derivative_is_refused():
    hidden, weight, cost, labels = vector()
    loss = fused_emo_loss(hidden, weight, labels, cost_embedding=cost)
    with pytest.raises(UsageError, match="no second derivative"):
        torch.autograd.grad(loss, hidden, create_graph=True)


def test_changed_in_place_is_noticed():
    hidden, weight, cost, labels = vector()
    loss = fused_emo_loss(hidden, weight, labels, cost_embedding=cost)
    with torch.no_grad():
        weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def bad(what):
    hidden, weight, cost, labels = vector()
    with torch.no_grad():
        if what == "nan":
            hidden[0, 1, 1] = float("nan")
    cost = {"cost": cost[:5], "missing": None}.get(what, cost)
    labels = torch.where(labels == 6, 7, labels) if what == "label" else labels
    form = "emo3" if what == "form" else "emo1"
    return hidden, weight, cost, labels, form


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("nan", r"hold NaN or infinity, so the loss would be meaningless: lower"),
        ("cost", r"cost embedding has shape \(5, 4\), but the vocabulary has 7 tokens: it must be \(7, H\)"),
        ("label", r"label 7 is outside the vocabulary 0\.\.6"),
        ("form", r"form='emo3' is unknown: choose one of emo1, emo2"),
    ],
)
def test_errors_are_one_sentence(what, sentence):
    hidden, weight, cost, labels, form = bad(what)
    with pytest.raises(UsageError, match=sentence) as plain:
        emo_loss(hidden @ weight.T, labels, cost, form=form)
    with pytest.raises(UsageError, match=sentence) as fused:
        fused_emo_loss(hidden, weight, labels, cost_embedding=cost, form=form)
    for error in (plain, fused):
        assert "\n" not in str(error.value) and not re.search(r"\. [A-Z]", str(error.value))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"chunk_size": 0}, "chunk_size=0 must be"),
        ({"active_eps": 2}, "active_eps=2 must lie"),
        ({"ratio_cap": -1.0}, "ratio_cap=-1.0 must be"),
        ({"reduction": "max"}, "reduction='max' is unknown"),
        ({"reduction": "sum", "num_items_in_batch": 3}, "num_items_in_batch divides"),
    ],
)
def test_options_out_of_range(options, sentence):
    hidden, weight, _, labels = vector()
    with pytest.raises(UsageError, match=re.escape(sentence)):
        fused_emo_loss(hidden, weight, labels, **options)


def test_shapes_that_do_not_fit():
    hidden, weight, _, labels = vector()
    with pytest.raises(UsageError, match="do not fit a head"):
        fused_emo_loss(hidden[..., :3], weight, labels)
    with pytest.raises(UsageError, match="give one label for every row"):
        fused_emo_loss(hidden, weight, labels[:, :4])
    with pytest.raises(UsageError, match="no cost embedding"):
        emo_loss(hidden @ weight.T, labels, None)
    elsewhere = torch.empty(weight.shape, device="meta")  # the one other device that every machine has
    with pytest.raises(UsageError, match="cost embedding is on meta and the head on cpu: move it there once"):
        fused_emo_loss(hidden, weight, labels, cost_embedding=elsewhere)
    with pytest.raises(UsageError, match="cost embedding is on meta and the head on cpu"):
        emo_loss(hidden @ weight.T, labels, elsewhere)


def test_what_is_no_number_never_becomes_a_silent_nan():
    hidden, weight, cost, labels = vector()
    for broken in (float("nan"), float("inf")):
        other = cost.clone()
        other[2, 1] = broken
        with pytest.raises(UsageError, match="cost embedding hold NaN or infinity"):
            emo_loss(hidden @ weight.T, labels, other)
        with pytest.raises(UsageError, match="cost embedding hold NaN or infinity"):
            fused_emo_loss(hidden, weight, labels, cost_embedding=other)
        head = weight.detach().clone()
        head[2, 1] = broken
        with pytest.raises(UsageError, match="output head, or the logits it makes, hold NaN or infinity"):
            fused_emo_loss(hidden, head, labels)


def test_labels_that_are_no_token_numbers():
    hidden, weight, cost, labels = vector()
    for kind in (torch.float32, torch.bool):
        with pytest.raises(UsageError, match="a label is a token's number"):
            emo_loss(hidden @ weight.T, labels.to(kind), cost)
        with pytest.raises(UsageError, match="a label is a token's number"):
            fused_emo_loss(hidden, weight, labels.to(kind))


def test_a_count_that_is_a_tensor_divides_as_exactly_as_a_number():
    hidden, weight, _, labels = vector()
    number, tensor = (fused_emo_loss(hidden, weight, labels, num_items_in_batch=n) for n in (3, torch.tensor(3)))
    assert float(tensor) == pytest.approx(float(number), rel=1e-14)


def test_unknown_variant():
    with pytest.raises(UsageError, match="there is no EMO variant 'emo1_adaptve': did you mean 'emo1_adaptive'"):
        variant("emo1_adaptve")
    assert len(VARIANTS) == 12
