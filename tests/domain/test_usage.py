"""Integer arithmetic of tokens, units and money: no rounding gives a run more than its budget."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.usage import Price, Units, Usage, decimal, money_text, parse_decimal, units_text

TOKENS = st.integers(0, 10**12)
UNITS = st.builds(
    Units, tokens_per_unit=st.integers(1, 10**7), cached_weight_milli=st.integers(0, 1000) | st.just(1000)
)
MICRO = st.integers(0, 10**9)
PRICES = st.builds(Price, input_micro=MICRO, cached_micro=MICRO, output_micro=MICRO, currency=st.just("USD"))


@st.composite
def consistent_usages(draw: st.DrawFn) -> Usage:
    """Draw consistent token counts: cached within input, input within total."""
    total = draw(TOKENS)
    given_in = draw(st.integers(0, total))
    return Usage(total=total, input=given_in, output=total - given_in, cached=draw(st.integers(0, given_in)))


any_usages = st.builds(Usage, total=TOKENS, input=TOKENS, output=TOKENS, thought=TOKENS, cached=TOKENS, tool_use=TOKENS)


def test_the_money_of_a_run_with_tools_and_searches() -> None:
    usage = Usage(total=349_864, input=260_572, output=10_174, thought=22_882, tool_use=56_236, searches=23)
    price = Price(
        input_micro=750_000, cached_micro=750_000, output_micro=3_750_000, search_micro=14_000, currency="USD"
    )
    assert price.cost(usage) == 683_566


def test_the_money_of_a_run_that_writes_to_the_cache() -> None:
    price = Price(
        input_micro=2_000_000,
        cached_micro=200_000,
        output_micro=10_000_000,
        search_micro=10_000,
        hour_micro=80_000,
        currency="USD",
    )
    usage = Usage(
        total=389_400,
        input=380_000,
        cached=340_000,
        cache_write=28_000,
        output=9_400,
        searches=3,
        active_ms=412_500,
    )
    assert Units().of(usage) == 8_340
    assert price.cost(usage) == 256_000 + 30_000 + 9_167
    assert price.cost(replace(usage, told_micro=300_000)) == 300_000, "what the service itself reports is preferred"


def test_the_worst_case_includes_writes_to_the_cache_and_the_running_time() -> None:
    price = Price(input_micro=4_000_000, cached_micro=0, output_micro=1_000_000, hour_micro=80_000, currency="USD")
    assert price.worst_case(1_000, Units(), max_ms=1_800_000) == 50_000 + 40_000


@given(any_usages, any_usages)
def test_the_highest_of_two_is_the_maximum_of_each_count(one: Usage, other: Usage) -> None:
    both = one.highest(other)
    assert both == other.highest(one)
    assert both.highest(one) == both
    assert both.total in (one.total, other.total)
    assert both.cached >= max(one.cached, other.cached)


@given(UNITS, any_usages)
def test_units_are_the_formula_rounded_up(units: Units, usage: Usage) -> None:
    cached = min(usage.cached, usage.total)
    weight = Fraction(units.cached_weight_milli, 1000)
    exact = (usage.total - cached + weight * cached) / units.tokens_per_unit
    assert 0 <= units.of(usage) - exact * 1000 < 1


def test_a_unit_with_the_default_settings() -> None:
    assert Units().of(Usage(total=381_224)) == 38_123
    assert Units().of(Usage(total=10_000, input=10_000, cached=10_000)) == 100
    assert Units().of(Usage()) == 0


@given(UNITS, any_usages, st.integers(0, 10**9))
def test_units_never_shrink_as_uncached_tokens_are_added(units: Units, usage: Usage, more: int) -> None:
    later = Usage(total=usage.total + more, cached=min(usage.cached, usage.total))
    assert units.of(later) >= units.of(usage)


@given(UNITS, st.integers(0, 10**15))
def test_the_limit_at_the_service_is_the_budget_in_tokens_rounded_up(units: Units, budget: int) -> None:
    limit = units.tokens_of(budget)
    exact = Fraction(budget * units.tokens_per_unit, 1000)
    assert limit >= 1
    assert limit - exact < 1 or limit == 1
    assert limit >= exact
    assert units.of(Usage(total=limit)) >= budget


def test_the_limit_at_the_service_of_the_default_units() -> None:
    assert Units().tokens_of(50_000) == 500_000
    assert Units(tokens_per_unit=3).tokens_of(500) == 2


@given(PRICES, UNITS, consistent_usages())
def test_a_run_within_its_budget_never_costs_more_than_the_worst_case(price: Price, units: Units, usage: Usage) -> None:
    cost = price.cost(usage)
    if units.cached_weight_milli > 0 and cost is not None:
        assert cost <= price.worst_case(units.of(usage), units)


@given(PRICES, consistent_usages())
def test_cost_is_exact_money_rounded_up(price: Price, usage: Usage) -> None:
    cost = price.cost(usage)
    if usage.input == 0:
        assert cost == (0 if usage.total == 0 else None)
        return
    exact = Fraction(
        (usage.input - usage.cached) * price.input_micro
        + usage.cached * price.cached_micro
        + usage.output * price.output_micro,
        10**6,
    )
    assert cost is not None
    assert 0 <= cost - exact < 1


def test_an_example_bill() -> None:
    price = Price(input_micro=750_000, cached_micro=75_000, output_micro=3_750_000, currency="USD")
    usage = Usage(total=1_400_000, input=1_000_000, cached=200_000, output=300_000, thought=100_000)
    assert money_text(price.cost(usage) or 0) == "2.115"


def test_without_input_tokens_the_cost_is_unknown_and_not_zero() -> None:
    price = Price(input_micro=1, cached_micro=1, output_micro=1, currency="USD")
    assert price.cost(Usage(total=5)) is None
    assert price.cost(Usage()) == 0


@given(any_usages)
def test_uncached_tokens_are_never_negative(usage: Usage) -> None:
    assert usage.uncached == max(0, usage.total - usage.cached)


@given(st.integers(-(10**20), 10**20), st.integers(1, 9), st.integers(1, 9))
def test_a_decimal_round_trips(value: int, places: int, least: int) -> None:
    text = decimal(value, places, least=min(least, places))
    assert parse_decimal(text, places) == value
    assert Fraction(text) == Fraction(value, 10**places)
    assert len(text.partition(".")[2]) >= min(least, places)


@pytest.mark.parametrize(
    ("milliunits", "text"),
    [(38_200, "38.2"), (0, "0.0"), (-1, "-0.001"), (1_000, "1.0"), (10, "0.01"), (10**15, "1000000000000.0")],
)
def test_units_as_they_are_written(milliunits: int, text: str) -> None:
    assert units_text(milliunits) == text


@pytest.mark.parametrize(("micro", "text"), [(910_000, "0.91"), (0, "0.00"), (1, "0.000001"), (2_100_000, "2.10")])
def test_money_as_it_is_written(micro: int, text: str) -> None:
    assert money_text(micro) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        ".5",
        "1.",
        "-",
        "--1",
        "+1",
        "1e3",
        " 1",
        "1 ",
        "1_0",
        "1.1.1",
        "inf",
        "nan",
        "٣",
        "1.٣",
        "0x1",
        "1.2345",
    ],
)
def test_what_is_not_a_plain_decimal(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a plain decimal|more than 3 digits"):
        parse_decimal(text, 3)


@given(st.text(max_size=12))
def test_a_decimal_is_parsed_exactly_or_refused(text: str) -> None:
    try:
        value = parse_decimal(text, 3)
    except ValueError:
        return
    assert Fraction(text) == Fraction(value, 1000)
