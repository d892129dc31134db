"""What providers push about messages, and people who unsubscribe: an HTTP service of its own.

Off until config/receiving.yml names an endpoint. It never opens the warehouse and holds no lease:
it records refusals, lands what came, and only then answers.
"""
