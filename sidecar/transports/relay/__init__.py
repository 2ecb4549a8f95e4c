"""Deliveries carried by RabbitMQ: published with confirms, waiting there, consumed by any number of machines.

It knows the broker and nothing of the store. A message that is acknowledged is gone; one that was taken and
not acknowledged comes back when its consumer or the broker dies. So everything may come twice, with its id.
"""
