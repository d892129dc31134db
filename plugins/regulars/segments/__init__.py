"""Segments as data: what config/segments says, checked and told to the models."""

from regulars.segments.definitions import Segment, Segments, SegmentVersion, load_segments

__all__ = ["Segment", "SegmentVersion", "Segments", "load_segments"]
