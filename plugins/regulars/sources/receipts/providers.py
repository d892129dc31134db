"""Every provider that may push, by name."""

from regulars.sources.receipts.aliyun_sms import ALIYUN_SMS
from regulars.sources.receipts.own_events import OWN_EVENTS
from regulars.sources.receipts.reading import Provider
from regulars.sources.receipts.tencent_sms import TENCENT_SMS

PROVIDERS: dict[str, Provider] = {one.name: one for one in (ALIYUN_SMS, TENCENT_SMS, OWN_EVENTS)}
