"""The table's base item and the capacity meter, on a real DynamoDB server."""

from pynamodb.attributes import NumberAttribute

from shared.records.table import Record, metered


class Mouse(Record, discriminator="Mouse"):
    weight = NumberAttribute()


def test_an_item_comes_back_as_its_own_class_and_its_cost_is_metered(table: str) -> None:
    # Given one item filed under a parent
    with metered() as cost:
        Mouse(pk="MOUSE#a", sk="A", g1pk="LAB#x", g1sk="a", weight=20.5).save()
    # Then base table and gsi1 were each charged one write unit
    assert (cost.requests, cost.units) == (1, 2.0)
    # When it is read through the index
    found = list(Record.gsi1.query("LAB#x"))
    # Then it is a Mouse again
    assert [(type(item), item.weight) for item in found] == [(Mouse, 20.5)]
