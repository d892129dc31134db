"""Keys as the models make them (dbt_project/macros/keys.sql): for what Python must recognise."""

import hashlib
from uuid import UUID


def shop_key(brand: str, platform: str, shop: str, native_id: str) -> UUID:
    """Key of a native id at a shop, as the macro ``shop_key`` makes it."""
    return _key(brand, platform, shop, native_id)


def unnamed_buyer(order_id: str) -> str:
    """Native id of the buyer of an order that names none, as int_orders__current makes it.

    Two orders whose buyers nobody named are not the same buyer's.
    """
    return f"order:{order_id}"


def founded_member_key(customer_key: UUID) -> UUID:
    """Key of the member that a customer founds, as the macro ``founded_member_key`` makes it."""
    return _key("member", str(customer_key))


def _key(*parts: str) -> UUID:
    return UUID(hashlib.md5("|".join(parts).encode(), usedforsecurity=False).hexdigest())
