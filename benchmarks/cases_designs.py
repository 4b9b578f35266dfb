"""The cases that are games, about designs, seeds, targets, estimators, mixtures and weights."""

from __future__ import annotations

from .cases_games import FEWER, LOST
from .cases_problems import (
    blocks,
    chaotic_game,
    estimated,
    exponential,
    few_targets,
    never,
    of_columns,
    on_masks,
    on_mixtures,
    on_weights,
    per_run,
    power,
)
from .labels import INDICATIVE, NOT, SOLID, Case, case


def designs() -> list[Case]:
    """Too few runs, tasks that are not told apart or never switched, leave-one-out tables."""
    few = lambda name, verdict, why, problem: case("few runs", f"few runs, {name}", verdict, why, problem)
    alias = lambda name, verdict, why, problem: case("aliased", f"aliased, {name}", verdict, why, problem)
    table = lambda name, verdict, why, problem: case("table", f"leave-one-out table, {name}", verdict, why, problem)
    fixed = lambda name, verdict, why, problem, by: case(
        "never switched", f"never switched, {name}", verdict, why, problem, measured=by
    )
    some = "The tasks that are switched are known well; nothing is known of the others."
    most = "Most of what is asked is about tasks that no run switches."
    return [
        few("K 20, m 14, no noise", INDICATIVE, "Fewer runs than tasks: large effects only.", on_masks(20, 14, 50.0)),
        few(
            "K 40, m 28, 4 targets",
            INDICATIVE,
            "Fewer runs than tasks: large effects only.",
            on_masks(40, 28, 20.0, T=4),
        ),
        few(
            "K 12, m 9, p .5",
            INDICATIVE,
            "Fewer runs than tasks.",
            on_masks(12, 9, 50.0, design="half", reading="banzhaf"),
        ),
        few("K 30, m 6", NOT, "Six runs for thirty tasks.", on_masks(30, 6, 5.0)),
        few("K 40, m 12, noise", NOT, "Twelve noisy runs for forty tasks.", on_masks(40, 12, 0.5)),
        few("K 10, m 6, noise", NOT, "Six noisy runs for ten tasks.", on_masks(10, 6, 0.08)),
        alias(
            "blocks of 6, K 12, m 40",
            NOT,
            "Two blocks are told apart, no task.",
            of_columns(12, 40, 20.0, blocks(6), "half"),
        ),
        alias(
            "blocks of 12, K 24, m 60",
            NOT,
            "Two blocks are told apart, no task.",
            of_columns(24, 60, 20.0, blocks(12), "half"),
        ),
        alias("all together, K 6, m 20", NOT, "All tasks are in or none.", of_columns(6, 20, 20.0, blocks(6), "again")),
        alias(
            "4 pairs among 10, m 80",
            INDICATIVE,
            "Two tasks are known, eight only in pairs.",
            of_columns(10, 80, 20.0, blocks(2, 2)),
        ),
        alias(
            "6 pairs, K 12, m 60",
            INDICATIVE,
            "Pairs are known, their tasks are not.",
            of_columns(12, 60, 20.0, blocks(2)),
        ),
        fixed("2 of 12, m 80", INDICATIVE, some, of_columns(12, 80, 20.0, never(1, 1)), False),
        fixed("6 of 20 always on, m 150", INDICATIVE, some, of_columns(20, 150, 20.0, never(6)), False),
        fixed("6 of 12, m 60", INDICATIVE, some, of_columns(12, 60, 20.0, never(3, 3)), True),
        fixed("13 of 15, m 40", NOT, most, of_columns(15, 40, 20.0, never(13), "again"), True),
        fixed("26 of 30, m 60", NOT, most, of_columns(30, 60, 20.0, never(13, 13), "again"), True),
        table(
            "K 8, low noise",
            SOLID,
            "Every difference is an effect, measured cleanly.",
            on_masks(8, 9, 200.0, design="one"),
        ),
        table(
            "K 20, 5 seeds",
            SOLID,
            "Every difference is an effect, averaged over seeds.",
            on_masks(20, 21, 20.0, design="one", crossed=5),
        ),
        table(
            "K 12, one noisy seed",
            INDICATIVE,
            "Every difference is an effect with about as much noise.",
            on_masks(12, 13, 1.0, design="one"),
        ),
        table("K 15, noise", NOT, LOST, on_masks(15, 16, 0.03, design="one")),
    ]


def seeds_and_tails() -> list[Case]:
    """Several seeds, outliers, several targets, estimators, truths that do not repeat."""
    seeds = lambda name, verdict, why, problem: case("seeds", name, verdict, why, problem)
    tails = lambda name, verdict, why, problem: case("outliers", f"t2 tails, {name}", verdict, why, problem)
    several = lambda name, verdict, why, problem: case("targets", name, verdict, why, problem)
    guess = lambda name, verdict, why, problem: case("estimated", f"estimated, {name}", verdict, why, problem)
    chaos = lambda name, verdict, why, problem: case("irreproducible", name, verdict, why, problem)
    return [
        seeds("3 crossed seeds, K 10, m 40", SOLID, "Means over seeds are clean.", on_masks(10, 40, 4.0, crossed=3)),
        seeds(
            "6 coupled seeds with levels, K 12, m 120",
            SOLID,
            "Levels of seeds come off.",
            on_masks(12, 120, 8.0, levels=6),
        ),
        seeds("4 crossed seeds, K 15, m 30, noise", INDICATIVE, FEWER, on_masks(15, 30, 0.3, crossed=4)),
        seeds("4 coupled seeds with levels, K 20, m 60", INDICATIVE, FEWER, on_masks(20, 60, 0.7, levels=4)),
        seeds("8 coupled seeds, K 20, m 48, noise", NOT, LOST, on_masks(20, 48, 0.03, levels=8)),
        tails("K 8, m 200", SOLID, "Outliers are far apart and the runs many.", on_masks(8, 200, 20.0, tails=2)),
        tails(
            "K 10, m 60",
            INDICATIVE,
            "Some outliers pull the effects of the tasks they lack.",
            on_masks(10, 60, 0.8, tails=2),
        ),
        tails("K 15, m 40", NOT, LOST, on_masks(15, 40, 0.08, tails=2)),
        several(
            "12 targets, all carry signal, K 10, m 60",
            SOLID,
            "All targets are measured cleanly.",
            on_masks(10, 60, 10.0, T=12),
        ),
        several("8 targets, all noisy, K 12, m 40", INDICATIVE, FEWER, on_masks(12, 40, 0.5, T=8)),
        several(
            "12 targets, one carries signal, K 10, m 60",
            NOT,
            "Eleven of twelve targets are noise.",
            few_targets(10, 60, 10.0, 12, 1),
        ),
        several(
            "8 targets, two carry signal, K 15, m 80",
            NOT,
            "Six of eight targets are noise.",
            few_targets(15, 80, 10.0, 8, 2),
        ),
        guess(
            "faithful, K 12, m 100",
            SOLID,
            "The estimator moves as retraining does.",
            estimated(12, 100, 0.985, "faithful"),
        ),
        guess(
            "faithful, K 20, m 160, 3 targets",
            SOLID,
            "The estimator moves as retraining does.",
            estimated(20, 160, 0.985, "faithful", 3),
        ),
        guess(
            "ranking only, K 12, m 100",
            INDICATIVE,
            "The estimator keeps the order.",
            estimated(12, 100, 0.75, "ranking only"),
        ),
        guess(
            "ranking only, K 20, m 160, 3 targets",
            INDICATIVE,
            "The estimator keeps the order.",
            estimated(20, 160, 0.75, "ranking only", 3),
        ),
        guess(
            "unfaithful, K 12, m 100",
            NOT,
            "The estimator answers for another game.",
            estimated(12, 100, 0.1, "unfaithful"),
        ),
        guess(
            "unfaithful, K 20, m 160, 3 targets",
            NOT,
            "The estimator answers for another game.",
            estimated(20, 160, 0.2, "unfaithful", 3),
        ),
        chaos(
            "chaotic in the mask, K 8, m 100",
            NOT,
            "Masks next to each other have unrelated values.",
            on_masks(8, 100, 1e6, chaotic_game, design="beside"),
        ),
        chaos(
            "chaotic in the mask, K 14, m 200",
            NOT,
            "Masks next to each other have unrelated values.",
            on_masks(14, 200, 1e6, chaotic_game, design="beside"),
        ),
        case(
            "irreproducible",
            "a game for each run, K 10, m 60",
            NOT,
            "Tasks do something else in every run.",
            per_run(10, 60, 1.0, common=False),
            measured=False,
        ),
        chaos(
            "a game for each of 3 seeds, K 12, m 90",
            INDICATIVE,
            "Half of what tasks do belongs to the seed.",
            per_run(12, 90, 1.3, 3),
        ),
        chaos(
            "half of the effects belong to the run, K 10, m 60",
            INDICATIVE,
            "Half of what tasks do belongs to the run.",
            per_run(10, 60, 1.9),
        ),
    ]


def weighted() -> list[Case]:
    """Mixtures and weights."""
    of = lambda name, verdict, why, problem: case("mixture", f"mixtures, {name}", verdict, why, problem)
    grow = lambda name, verdict, why, problem: case("weights", f"weights, {name}", verdict, why, problem)
    gone = lambda name, verdict, why, problem, by: case(
        "absent source", f"absent source, {name}", verdict, why, problem, measured=by
    )
    return [
        of("log law, K 6, m 60", SOLID, "Many clean runs of a smooth law.", on_mixtures(6, 60, 50.0)),
        of(
            "log law, K 15, m 120, 2 targets",
            SOLID,
            "Many clean runs of a smooth law.",
            on_mixtures(15, 120, 100.0, T=2),
        ),
        of(
            "exponential law, K 10, m 80",
            SOLID,
            "Many clean runs of a smooth law.",
            on_mixtures(10, 80, 50.0, exponential),
        ),
        of(
            "exponential law, removal, K 8, m 100",
            SOLID,
            "Many clean runs of a smooth law.",
            on_mixtures(8, 100, 50.0, exponential, reading="removal"),
        ),
        of("exponential law, K 12, m 40, noise", INDICATIVE, FEWER, on_mixtures(12, 40, 1.0, exponential)),
        of(
            "exponential law, 2 crossed seeds, K 10, m 30",
            INDICATIVE,
            FEWER,
            on_mixtures(10, 30, 0.35, exponential, crossed=2),
        ),
        of("log law, K 20, m 40, noise", INDICATIVE, FEWER, on_mixtures(20, 40, 1.0, power)),
        of("exponential law, K 20, m 30, noise", NOT, LOST, on_mixtures(20, 30, 0.05, exponential)),
        of("log law, K 12, m 24, noise, 2 targets", NOT, LOST, on_mixtures(12, 24, 0.04, power, T=2)),
        of("exponential law, K 30, m 8", NOT, "Eight runs for thirty sources.", on_mixtures(30, 8, 1.0, exponential)),
        gone(
            "3 of 10, m 80",
            INDICATIVE,
            "Seven sources are known; nothing is known of the three in no run.",
            on_mixtures(10, 80, 50.0, exponential, absent=[7, 8, 9]),
            False,
        ),
        gone(
            "26 of 30, m 60",
            NOT,
            "All but four sources are in no run.",
            on_mixtures(30, 60, 50.0, exponential, absent=range(4, 30)),
            True,
        ),
        grow("linear, K 8, m 80", SOLID, "Many clean runs.", on_weights(8, 80, 10.0)),
        grow("falling loss, K 6, m 100", SOLID, "Many clean runs.", on_weights(6, 100, 30.0, falling=True)),
        grow("linear, K 12, m 40, noise", INDICATIVE, FEWER, on_weights(12, 40, 0.5)),
        grow("linear, K 20, m 40, noise", NOT, LOST, on_weights(20, 40, 0.025)),
    ]


def cases() -> list[Case]:
    """All games of this file."""
    return [*designs(), *seeds_and_tails(), *weighted()]
