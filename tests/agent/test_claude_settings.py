"""What Claude is asked with and what that costs: the shipped file, a repository's own, and one line for what is off."""

from pathlib import Path

import pytest

from agent.calls import Usage
from agent.settings import OWN, SHIPPED, Price, Settings, quoted, read_settings
from bench.errors import UsageError

KINDS = Usage(
    input_tokens=1,
    output_tokens=10,
    cache_read_input_tokens=100,
    ephemeral_5m_input_tokens=1000,
    ephemeral_1h_input_tokens=10_000,
)


@pytest.fixture(autouse=True)
def no_model_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_MODEL", raising=False)


def own(folder: Path, text: str) -> Settings:
    """The settings of a repository with this file."""
    (folder / OWN).write_text(text, encoding="utf-8")
    return read_settings(folder)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(UsageError) as caught:
        own(folder, text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Which settings.


def test_without_a_file_of_its_own_a_repository_has_what_is_shipped(tmp_path: Path) -> None:
    settings = read_settings(tmp_path)
    assert SHIPPED.exists()
    assert settings.model == "claude-sonnet-5-5"
    assert settings.effort == "medium"
    assert settings.price == settings.prices["claude-sonnet-5-5"] == Price(input=2, output=10, cache_read=0.1)
    assert len(settings.prices) > 1


def test_every_shipped_price_is_cheapest_where_it_is_read_from_the_cache(tmp_path: Path) -> None:
    for price in read_settings(tmp_path).prices.values():
        assert price.cache_read is not None
        assert 0 < price.cache_read < price.input < price.output


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert own(tmp_path, "# nothing yet\n") == read_settings(tmp_path / "elsewhere")


def test_a_repositorys_own_file_changes_what_it_names_and_no_more(tmp_path: Path) -> None:
    shipped = read_settings(tmp_path)
    settings = own(tmp_path, 'model = "claude-opus-5-5"\neffort = ""\ntimeout_s = 5\n')
    assert (settings.model, settings.effort, settings.timeout_s) == ("claude-opus-5-5", "", 5)
    assert settings.max_tokens == shipped.max_tokens
    assert settings.prices == shipped.prices


def test_its_prices_are_added_to_the_shipped_ones(tmp_path: Path) -> None:
    shipped = read_settings(tmp_path)
    settings = own(tmp_path, 'model = "mine"\n[prices.mine]\ninput = 1\noutput = 3\n')
    assert settings.price == Price(input=1, output=3)
    assert settings.prices == {**shipped.prices, "mine": Price(input=1, output=3)}


def test_a_price_of_its_own_stands_in_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    settings = own(tmp_path, "[prices.claude-sonnet-5-5]\ninput = 1\noutput = 3\nwrite_1h = 9\n")
    assert settings.price == Price(input=1, output=3, write_1h=9)


def test_the_environment_has_the_last_word_on_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_MODEL", "claude-haiku-5-5")
    settings = own(tmp_path, 'model = "claude-opus-5-5"\n')
    assert settings.model == "claude-haiku-5-5"
    assert settings.price == settings.prices["claude-haiku-5-5"]


def test_an_empty_word_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_MODEL", "")
    assert own(tmp_path, 'model = "claude-opus-5-5"\n').model == "claude-opus-5-5"


# What is off.


@pytest.mark.parametrize("model", ["mine", "qwen3:8b", "org/model.v2", "modèle", 'a"b\\c', "-"])
def test_a_model_without_a_price_names_the_table_to_write(tmp_path: Path, model: str) -> None:
    settings = read_settings(tmp_path).model_copy(update={"model": model})
    with pytest.raises(UsageError) as caught:
        _ = settings.price
    text = str(caught.value)
    table = f"[prices.{quoted(model)}]"
    assert text.startswith(f"no price is known for {model}: put {table} ")
    assert text.endswith(OWN)
    assert "\n" not in text
    assert own(tmp_path, f"{table}\ninput = 1\noutput = 3\n").prices[model] == Price(input=1, output=3)


def test_a_name_is_quoted_only_where_it_has_to_be() -> None:
    assert quoted("claude-sonnet_5-5") == "claude-sonnet_5-5"
    assert quoted("claude 5.5") == '"claude 5.5"'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model = ", "is no TOML"),
        ('model = "a"\nmodel = "b"', "is no TOML"),
        ('modle = "claude-opus-5-5"', "modle"),
        ('effort = "extreme"', "effort"),
        ("effort = 3", "effort"),
        ("model = 3", "model"),
        ("max_tokens = 0", "max_tokens"),
        ("max_tokens = 1.5", "max_tokens"),
        ("timeout_s = 0", "timeout_s"),
        ("timeout_s = nan", "timeout_s"),
        ("[prices.mine]\ninput = 1", "prices.mine.output"),
        ("[prices.mine]\ninput = -1\noutput = 1", "prices.mine.input"),
        ("[prices.mine]\ninput = nan\noutput = 1", "prices.mine.input"),
        ("[prices.mine]\ninput = 1\noutput = 1\ncached = 1", "prices.mine.cached"),
        ('[prices.mine]\ninput = 1\noutput = "much"', "prices.mine.output"),
        ("[prices]\nmine = 3", "prices.mine"),
        ("prices = 3", "prices"),
        ("[claude]\nmodel = 'x'", "claude"),
    ],
)
def test_what_does_not_fit_is_one_line_that_names_it(tmp_path: Path, text: str, words: str) -> None:
    line = refusal(tmp_path, text)
    assert line.startswith(OWN)
    assert words in line


def test_so_is_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / OWN).write_bytes(b'model = "\xff\xfe"\n')
    with pytest.raises(UsageError, match=rf"^{OWN} is no TOML: .*$"):
        read_settings(tmp_path)


# What it costs.


def test_each_kind_of_token_has_its_price() -> None:
    price = Price(input=2, output=10, cache_read=0.5, write_5m=3, write_1h=7)
    assert price.dollars(KINDS) == pytest.approx((1 * 2 + 10 * 10 + 100 * 0.5 + 1000 * 3 + 10_000 * 7) / 1e6)


def test_the_cache_costs_as_published_where_nothing_is_said() -> None:
    price = Price(input=2, output=10)
    assert price.dollars(KINDS) == pytest.approx((1 * 2 + 10 * 10 + 100 * 2 + 1000 * 2.5 + 10_000 * 4) / 1e6)


def test_a_kind_that_costs_nothing_is_not_one_without_a_price() -> None:
    price = Price(input=2, output=10, cache_read=0, write_5m=0, write_1h=0)
    assert price.dollars(KINDS) == pytest.approx((1 * 2 + 10 * 10) / 1e6)


@pytest.mark.parametrize(
    ("price", "dearest"),
    [
        (Price(input=2, output=10), 4),
        (Price(input=2, output=10, cache_read=1, write_5m=0, write_1h=0), 2),
        (Price(input=2, output=10, write_5m=9), 9),
        (Price(input=2, output=10, write_1h=9), 9),
        (Price(input=2, output=10, cache_read=9), 9),
    ],
)
def test_at_most_every_token_is_charged_at_its_dearest(price: Price, dearest: float) -> None:
    assert price.at_most(1000, 100) == pytest.approx((1000 * dearest + 100 * 10) / 1e6)


def test_a_server_of_ones_own_may_cost_nothing(tmp_path: Path) -> None:
    settings = own(tmp_path, 'model = "local"\n[prices.local]\ninput = 0\noutput = 0\n')
    assert settings.price.dollars(KINDS) == settings.price.at_most(10**9, 10**9) == 0
