"""The cases that are games: noise, noisy worths, interactions, designs that answer another question."""

from __future__ import annotations

from .cases_problems import (
    constant,
    copies_game,
    falling_game,
    mixed_game,
    on_masks,
    on_mixtures,
    product_game,
    xor_game,
)
from .labels import INDICATIVE, NOT, SOLID, Case, case

FEWER = "The noise leaves the large effects in sight and blurs the order of the others."
LOST = "The noise is far above what so many runs can average out."


def noise() -> list[Case]:
    """Values that have nothing to do with the tasks, and values that never change."""
    of = lambda name, problem: case(
        "noise", f"pure noise, {name}", NOT, "The values have nothing to do with the tasks.", problem, measured=False
    )
    still = lambda name, problem: case(
        "constant", f"constant, {name}", NOT, "A target that never changes has no effects.", problem, measured=False
    )
    return [
        of("K 10, m 60", on_masks(10, 60, 0)),
        of("K 4, m 30, p .5", on_masks(4, 30, 0, design="again", reading="banzhaf")),
        of("K 40, m 100", on_masks(40, 100, 0)),
        of("K 20, m 20", on_masks(20, 20, 0)),
        of("K 15, m 300, 2 targets, p .5", on_masks(15, 300, 0, design="half", reading="banzhaf", T=2)),
        of("mixtures, K 8, m 64, 4 targets", on_mixtures(8, 64, 0, T=4)),
        of("fixed size, K 12, m 80", on_masks(12, 80, 0, design=("size", 6), reading="swap")),
        of("4 crossed seeds, K 8, m 40", on_masks(8, 40, 0, crossed=4)),
        of("5 coupled seeds, K 12, m 60", on_masks(12, 60, 0, levels=5)),
        of("t2 tails, K 10, m 80", on_masks(10, 80, 0, tails=2)),
        still("K 8, m 40", constant(8, 40)),
        still("K 12, m 60, 3 targets", constant(12, 60, T=3, design="half")),
        still("mixtures, K 6, m 30", constant(6, 30, design="mixture")),
    ]


def additive() -> list[Case]:
    """Tasks that add their worths, from little to heavy noise."""
    of = lambda name, verdict, why, problem: case("additive", f"additive, {name}", verdict, why, problem)
    far = lambda name, verdict, why, problem: case("heavy noise", f"heavy noise, {name}", verdict, why, problem)
    many = "Single runs are mostly noise, but there are so many that every effect stands clear of its error."
    sparse = lambda name, verdict, why, problem: case("null tasks", f"null tasks, {name}", verdict, why, problem)
    return [
        of("K 4, m 15, low noise, 2 targets", SOLID, "Fifteen clean runs for four worths.", on_masks(4, 15, 20.0, T=2)),
        of("K 12, m 80, low noise, 3 targets", SOLID, "Seven clean runs for each worth.", on_masks(12, 80, 10.0, T=3)),
        of("K 20, m 120", SOLID, "Noise of a quarter of the signal, six runs a task.", on_masks(20, 120, 4.0)),
        of("K 40, m 200, low noise", SOLID, "Five clean runs for each worth.", on_masks(40, 200, 8.0)),
        of("K 10, m 30", INDICATIVE, FEWER, on_masks(10, 30, 0.5)),
        of("K 20, m 60, 6 targets", INDICATIVE, FEWER, on_masks(20, 60, 0.5, T=6)),
        of("K 40, m 100", INDICATIVE, FEWER, on_masks(40, 100, 0.6)),
        of("K 20, m 40, noise", NOT, LOST, on_masks(20, 40, 0.02)),
        of("K 40, m 60, noise", NOT, LOST, on_masks(40, 60, 0.04)),
        far("K 4, m 400, R^2 .15", SOLID, many, on_masks(4, 400, 0.18, design="again", reading="banzhaf")),
        far("K 6, m 400, R^2 .17", SOLID, many, on_masks(6, 400, 0.2, design="again", reading="shapley")),
        far("K 10, m 400, R^2 .04", INDICATIVE, FEWER, on_masks(10, 400, 0.035, design="half", reading="banzhaf")),
        far("K 20, m 300, R^2 .12", INDICATIVE, FEWER, on_masks(20, 300, 0.14)),
        far("K 16, m 400, R^2 .001", NOT, LOST, on_masks(16, 400, 0.001, design="half", reading="banzhaf")),
        far("K 20, m 200, R^2 .004", NOT, LOST, on_masks(20, 200, 0.004)),
        sparse("10 of 12, m 80", SOLID, "Two clear effects among ten of 0.", on_masks(12, 80, 4.0, mixed_game(few=2))),
        sparse(
            "15 of 20, m 50",
            INDICATIVE,
            "The few effects are seen, but noise lifts some of nothing beside them.",
            on_masks(20, 50, 0.9, mixed_game(few=5)),
        ),
        sparse("15 of 20, m 40, noise", NOT, LOST, on_masks(20, 40, 0.04, mixed_game(few=5))),
    ]


def interacting() -> list[Case]:
    """XOR, saturation, copies: what a task does depends on the others."""
    xor = lambda name, verdict, why, problem: case("xor", f"XOR pairs, {name}", verdict, why, problem)
    same = "Near the full set each task of a pair that is one too many does the same harm, and the runs show it."
    out = lambda name, verdict, why, problem: case("saturating", f"saturating, {name}", verdict, why, problem)
    copy = lambda name, verdict, why, problem: case("duplicates", f"copies, {name}", verdict, why, problem)
    pair = lambda name, verdict, why, problem: case("pairs", f"pairs, {name}", verdict, why, problem)
    return [
        xor("near-full, K 8, m 80", SOLID, same, on_masks(8, 80, 50.0, xor_game)),
        xor("near-full, K 16, m 200", SOLID, same, on_masks(16, 200, 50.0, xor_game)),
        *(
            case(
                "xor",
                f"XOR pairs, p .5, Banzhaf, K {K}, m {m}",
                NOT,
                "Over all sets no task is good or bad: single tasks have nothing to be attributed.",
                on_masks(K, m, 50.0, xor_game, design="half", reading="banzhaf"),
                measured=False,
            )
            for K, m in ((6, 60), (10, 200), (16, 120))
        ),
        out("K 8, m 80, near-full", SOLID, "Many clean runs beside the question.", on_masks(8, 80, 20.0, falling_game)),
        out(
            "K 10, m 120, Shapley",
            SOLID,
            "Clean runs of all sizes.",
            on_masks(10, 120, 60.0, falling_game, design="spread", reading="shapley"),
        ),
        out(
            "product of gaps, K 12, m 100, p .5, Banzhaf",
            SOLID,
            "Clean runs of the sets that the question averages over.",
            on_masks(12, 100, 30.0, product_game, design="half", reading="banzhaf"),
        ),
        out("K 15, m 60, near-full", INDICATIVE, FEWER, on_masks(15, 60, 0.6, falling_game)),
        out("K 12, m 50, 3 targets", INDICATIVE, FEWER, on_masks(12, 50, 0.9, product_game, T=3)),
        out("K 15, m 30, noise", NOT, LOST, on_masks(15, 30, 0.05, falling_game)),
        copy(
            "K 8, m 120, p .5, Banzhaf",
            SOLID,
            "With p .5 one of two copies is often alone, and is seen to carry the worth of both.",
            on_masks(8, 120, 20.0, copies_game(), design="half", reading="banzhaf"),
        ),
        copy(
            "K 12, m 150, Shapley",
            SOLID,
            "Sizes from one task to all show copies alone and together.",
            on_masks(12, 150, 50.0, copies_game(), design="spread", reading="shapley"),
        ),
        copy(
            "K 12, m 60, p .5, Banzhaf",
            INDICATIVE,
            FEWER,
            on_masks(12, 60, 1.5, copies_game(), design="half", reading="banzhaf"),
        ),
        copy(
            "K 12, m 40, near-full",
            NOT,
            "At the full set a copy is worth only the little of its own, which drowns in noise and in lost pairs.",
            on_masks(12, 40, 0.1, copies_game(0.1)),
        ),
        pair(
            "K 8, m 150, low noise",
            SOLID,
            "Near-full runs hold what pairs do there.",
            on_masks(8, 150, 30.0, mixed_game(0.3)),
        ),
        pair(
            "K 12, m 80, p .5, Banzhaf, 2 targets",
            SOLID,
            "Pairs average out over random halves.",
            on_masks(12, 80, 20.0, mixed_game(0.3), design="half", reading="banzhaf", T=2),
        ),
        pair("K 12, m 60, noise", INDICATIVE, FEWER, on_masks(12, 60, 0.5, mixed_game(0.3))),
        pair("K 16, m 40, noise", NOT, LOST, on_masks(16, 40, 0.006, mixed_game(0.3))),
    ]


def far_questions() -> list[Case]:
    """Designs that answer another question than the one asked."""
    swap = lambda name, verdict, why, problem: case("fixed size", f"fixed size, {name}", verdict, why, problem)
    far = lambda name, verdict, why, problem: case("far question", f"far question, {name}", verdict, why, problem)
    level = "Sets of one size do not say what a task does at the full set, where its copies are in."
    beyond = "What tasks do in sets of six and more decides at the full set, and random halves hardly show it."
    half = lambda K, m, ratio, make: on_masks(K, m, ratio, make, design=("p", 0.5))
    return [
        swap(
            "swaps, K 12, size 6, m 80",
            SOLID,
            "Swaps are what sets of one size answer.",
            on_masks(12, 80, 10.0, design=("size", 6), reading="swap"),
        ),
        swap(
            "swaps, K 20, size 5, m 200, pairs",
            SOLID,
            "Swaps are what sets of one size answer.",
            on_masks(20, 200, 20.0, mixed_game(0.3), design=("size", 5), reading="swap"),
        ),
        swap(
            "swaps, K 30, size 4, m 100",
            INDICATIVE,
            FEWER,
            on_masks(30, 100, 0.5, design=("size", 4), reading="swap"),
        ),
        swap("swaps, K 20, size 10, m 40", NOT, LOST, on_masks(20, 40, 0.005, design=("size", 10), reading="swap")),
        swap(
            "leave-one-out, K 16, size 4, m 100",
            NOT,
            level,
            on_masks(16, 100, 20.0, copies_game(0.1), design=("size", 4)),
        ),
        swap(
            "leave-one-out, K 20, size 6, m 150",
            NOT,
            level,
            on_masks(20, 150, 20.0, copies_game(0.2), design=("size", 6)),
        ),
        far(
            "additive, K 10, m 100",
            SOLID,
            "What adds up at random halves adds up at the full set.",
            half(10, 100, 20.0, None),
        ),
        far(
            "additive, K 20, m 200",
            SOLID,
            "What adds up at random halves adds up at the full set.",
            half(20, 200, 10.0, None),
        ),
        far(
            "pairs, K 16, m 60",
            INDICATIVE,
            "Pairs count fully at the full set and half in the runs.",
            half(16, 60, 2.0, mixed_game(1.6)),
        ),
        far(
            "fours, K 12, m 100",
            INDICATIVE,
            "Fours count fully at the full set and an eighth in the runs.",
            half(12, 100, 10.0, mixed_game(0.5, 4)),
        ),
        far("sixes, K 16, m 60", NOT, beyond, half(16, 60, 5.0, mixed_game(1.6, 6))),
        far("sevens, K 20, m 100", NOT, beyond, half(20, 100, 5.0, mixed_game(2.5, 7))),
        far(
            "copies of four, near-full, Banzhaf, K 24, m 60",
            NOT,
            "Near the full set one of four copies is always in: what it is worth alone is never seen.",
            on_masks(24, 60, 5.0, copies_game(0.03, 4), design=("p", 0.9), reading="banzhaf"),
        ),
    ]


def cases() -> list[Case]:
    """All games of this file."""
    rooms = (noise, additive, interacting, far_questions)
    return [one for room in rooms for one in room()]
