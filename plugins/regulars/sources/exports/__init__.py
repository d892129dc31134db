"""Files that sellers export from their platforms' back offices, dropped as they are.

Columns are known from what public importers read; vendors publish no schema. The header row is
data: names are mapped, unknown ones are kept and counted, a required one that is missing refuses
the file.
"""

from regulars.sources.exports import douyin, jd, pdd, taobao
from regulars.sources.exports.columns import SOURCE

DROP_GUIDE = "docs/how-to/drop-seller-exports.md"

PAYLOADS = {
    model.stream: model
    for model in (
        taobao.ORDERS,
        taobao.ORDER_DETAILS,
        taobao.REFUNDS,
        jd.ORDERS,
        pdd.ORDERS,
        douyin.ORDERS,
    )
}

__all__ = ["DROP_GUIDE", "PAYLOADS", "SOURCE"]
