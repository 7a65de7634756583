"""What torch computes for the optimizer and the objectives, in float64. Writes tests/fixtures/training.json."""

import json
import pathlib

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)


def adamw():
    """Eight steps of torch.optim.AdamW with clipping of the global norm, over three numbers and a changing learning rate."""
    runs = []
    for decay, clip in [(0.0, 1e9), (0.1, 1e9), (0.01, 0.5)]:
        p = torch.tensor([0.5, -1.0, 2.0], requires_grad=True)
        optimizer = torch.optim.AdamW([p], betas=(0.9, 0.99), eps=1e-8, weight_decay=decay)
        steps = []
        for t in range(1, 9):
            rate = 0.01 * t
            gradient = torch.tensor([0.3 * (-1) ** t, 0.2 + 0.1 * t, -0.05 * t * t])
            p.grad = gradient.clone()
            norm = torch.nn.utils.clip_grad_norm_([p], clip)
            optimizer.param_groups[0]["lr"] = rate
            optimizer.step()
            state = optimizer.state[p]
            steps.append(
                {
                    "rate": rate,
                    "gradient": gradient.tolist(),
                    "norm": norm.item(),
                    "parameters": p.detach().tolist(),
                    "first": state["exp_avg"].tolist(),
                    "second": state["exp_avg_sq"].tolist(),
                }
            )
        runs.append({"weight_decay": decay, "clip": clip, "start": [0.5, -1.0, 2.0], "steps": steps})
    return runs


def sequence(log_prob, tokens, reference):
    return torch.tensor(log_prob, requires_grad=True), tokens, reference


PAIRS = [((-31.0, 20, -33.5), (-44.0, 25, -41.0)), ((-52.0, 40, -45.0), (-18.0, 9, -21.0)), ((-3.0, 2, -3.0), (-3.0, 2, -3.0))]


def record(loss, parts):
    loss.backward()
    return {
        "sequences": [[x.item(), n, r] for x, n, r in parts],
        "loss": loss.item(),
        "slopes": [x.grad.item() for x, _, _ in parts],
    }


def dpo():
    """arXiv 2305.18290, with the smoothing of its section on conservative DPO."""
    cases = []
    for beta, smoothing, normalised in [(0.1, 0.0, False), (0.3, 0.1, False), (2.0, 0.05, True)]:
        for pair in PAIRS:
            chosen, rejected = sequence(*pair[0]), sequence(*pair[1])
            gained = [(x - r) / (n if normalised else 1) for x, n, r in (chosen, rejected)]
            z = beta * (gained[0] - gained[1])
            loss = -(1 - smoothing) * F.logsigmoid(z) - smoothing * F.logsigmoid(-z)
            cases.append(
                {"beta": beta, "smoothing": smoothing, "length_normalised": normalised, "margin": z.item()}
                | record(loss, [chosen, rejected])
            )
    return cases


def orpo():
    """arXiv 2403.07691: odds of the mean log-probability, and the mean loss of the chosen text."""
    cases = []
    for beta in (0.1, 1.0):
        for pair in PAIRS:
            chosen, rejected = sequence(*pair[0]), sequence(*pair[1])
            mean = [x / n for x, n, _ in (chosen, rejected)]
            odds = [m - torch.log1p(-torch.exp(m)) for m in mean]
            z = odds[0] - odds[1]
            loss = -mean[0] - beta * F.logsigmoid(z)
            cases.append({"beta": beta, "margin": z.item()} | record(loss, [chosen, rejected]))
    return cases


def kto():
    """arXiv 2402.01306, equation 8."""
    cases = []
    for beta, good_weight, bad_weight, shift in [(0.1, 1.0, 1.0, 0.0), (0.2, 1.33, 1.0, 1.7)]:
        for good in (True, False):
            for one in ((-31.0, 20, -33.5), (-44.0, 25, -41.0)):
                text = sequence(*one)
                reward = text[0] - text[2]
                z = beta * (reward - shift) if good else beta * (shift - reward)
                loss = (good_weight if good else bad_weight) * (1 - torch.sigmoid(z))
                cases.append(
                    {"beta": beta, "good_weight": good_weight, "bad_weight": bad_weight, "shift": shift, "good": good, "margin": z.item()}
                    | record(loss, [text])
                )
    return cases


here = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "training.json"
figures = {"torch": torch.__version__, "adamw": adamw(), "dpo": dpo(), "orpo": orpo(), "kto": kto()}
here.write_text(json.dumps(figures, indent=1) + "\n")
