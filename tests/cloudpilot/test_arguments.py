"""Pages cut from sorted lists, whatever the size and wherever they go on."""

from hypothesis import given
from hypothesis import strategies as st

from cloudpilot.arguments import every_namespace, no_such, page

NAMES = st.text("a-b", min_size=1, max_size=3)
KEY = st.tuples(NAMES, NAMES).map("/".join)


def in_order(keys: list[str]) -> list[str]:
    """By namespace, then name, as the mirror sorts: `shop` is before `shop-x`."""
    return sorted(keys, key=lambda key: key.split("/"))


KEYS = st.lists(KEY, unique=True).map(in_order)


@given(KEYS, st.integers(1, 5))
def test_pages_together_are_the_list(keys: list[str], limit: int) -> None:
    seen: list[str] = []
    after: str | None = None
    while True:
        shown, after = page(keys, keys, limit, after)
        seen += shown
        assert len(shown) <= limit
        if after is None:
            break
    assert seen == keys


@given(KEYS, KEY)
def test_page_goes_on_behind_any_key(keys: list[str], after: str) -> None:
    shown, _ = page(keys, keys, 100, after)
    assert list(shown) == [key for key in keys if key.split("/") > after.split("/")]


def test_nearest_names_are_suggested() -> None:
    error = no_such("pod", "card", ["cart", "cart", "search"])
    assert error.details["nearest"] == ["cart"]
    assert no_such("pod", "zzz", ["cart"]).hint == "list the pods first"


def test_star_is_every_namespace() -> None:
    assert every_namespace("*") is None
    assert every_namespace("shop") == "shop"
