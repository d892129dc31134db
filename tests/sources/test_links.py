"""Every record of an order says whose it is: an erasure finds records by nothing else."""

from regulars.sources import payload_model, raw_streams, source_names


def test_every_order_line_and_refund_names_its_order() -> None:
    looked_at = 0
    for source in source_names():
        for stream in raw_streams(source):
            if not stream.endswith(("orders", "order_lines", "order_details", "refunds")):
                continue
            looked_at += 1
            model = payload_model(source, stream)
            assert "order" in model.links.values(), model
            assert set(model.links) <= model.names, model
    assert looked_at >= 17
