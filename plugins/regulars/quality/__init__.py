"""The three gates: Great Expectations suites built from expectations/, and our verdict on them."""
