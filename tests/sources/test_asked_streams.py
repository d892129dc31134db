"""Which streams a night asks of a shop."""

import pytest

from regulars.errors import ConfigError
from regulars.sources import asked_streams
from tests.sources.shops import demo_shop


def test_a_shop_that_names_none_is_asked_for_the_usual_ones() -> None:
    assert asked_streams(demo_shop()) == ("orders", "refunds")
    assert asked_streams(demo_shop(source="taobao_rds")) == ("orders", "refunds")


def test_a_shop_is_asked_for_what_it_names_in_the_sources_order() -> None:
    shop = demo_shop(streams=("reviews", "orders"))
    assert asked_streams(shop) == ("orders", "reviews")


def test_an_unknown_stream_is_named() -> None:
    with pytest.raises(ConfigError, match="no stream 'rewiews'") as caught:
        asked_streams(demo_shop(streams=("orders", "rewiews")))
    assert "orders, refunds, reviews, logistics" in caught.value.next_step
    assert "demo_grocer" in caught.value.where
