"""Taobao's order push: the shop's trades and refunds, written into a MySQL database of its own."""

from regulars.sandbox.platforms.taobao_push.database import PushDatabase, push_database_at
from regulars.sandbox.platforms.taobao_push.pusher import Pushed, Pusher

__all__ = ["PUSHED", "PushDatabase", "Pushed", "Pusher", "push_database_at"]

PUSHED = "taobao_rds"
"""The source that reads what is pushed."""
