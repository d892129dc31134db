"""What members are worth: the models of purchases and spending, fitted on grouped counts.

Counting is SQL (``intermediate/value``), scoring is SQL (``mart_member_value``); this room holds
the numerical part between the two, and knows neither warehouse nor state.
"""
