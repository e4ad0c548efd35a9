"""orders: what is ordered. A seed and a number decide everything about an order, so a run can be repeated."""
import json
import random
from dataclasses import dataclass

MEMBERS = 1_000
PRODUCTS = 10_000

# Share of the orders, in percent. What is left is ordinary.
DECLINED = 5
UNKNOWN_PRODUCT = 3
UNKNOWN_MEMBER = 2
NOBODY_HOME = 3
SENT_AGAIN = 5      # by the same client, after the answer
SENT_TWICE = 5      # by two clients, at the same time


@dataclass(frozen=True)
class Order:
    id: str
    body: bytes
    again: bool
    twice: bool


def make(seed, number):
    dice = random.Random(f"{seed}/{number}")
    order = {
        "id": f"{seed}-{number:06d}",
        "member": f"m{dice.randint(1, MEMBERS)}",
        "items": [{"product": f"p{dice.randint(1, PRODUCTS)}", "quantity": dice.randint(1, 3)}
                  for _ in range(dice.randint(1, 3))],
        "card": "good",
        "address": f"Street {dice.randint(1, 500)}",
    }
    kind = dice.uniform(0, 100)
    if kind < DECLINED:
        order["card"] = "declined"
    elif kind < DECLINED + UNKNOWN_PRODUCT:
        order["items"][-1]["product"] = f"no-such-product-{number}"
    elif kind < DECLINED + UNKNOWN_PRODUCT + UNKNOWN_MEMBER:
        order["member"] = f"nobody-{number}"
    elif kind < DECLINED + UNKNOWN_PRODUCT + UNKNOWN_MEMBER + NOBODY_HOME:
        order["address"] = f"{order['address']}, nowhere"
    sending = dice.uniform(0, 100)
    return Order(order["id"], json.dumps(order).encode(), again=sending < SENT_AGAIN,
                 twice=SENT_AGAIN <= sending < SENT_AGAIN + SENT_TWICE)


def tasks(seed, count):
    """Each order once; one that is sent twice stands there twice in a row, so that two workers take it."""
    for number in range(count):
        order = make(seed, number)
        yield order
        if order.twice:
            yield order
