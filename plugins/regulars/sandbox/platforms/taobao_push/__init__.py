"""Taobao's order push: the shop's trades and refunds, written into a MySQL database of its own."""

from regulars.sandbox.platforms.taobao_push.database import PushDatabase
from regulars.sandbox.platforms.taobao_push.pusher import Pushed, Pusher

__all__ = ["PushDatabase", "Pushed", "Pusher"]
