"""What a new rate card may bill: the things that the catalogue has met so far."""

from purchases.models import Feature, RateCard

# A list to choose from; an id that is not in it can be typed.
MOST_OFFERED = 200

_OF_FEATURES = (RateCard.Kind.BILLING_ENTITLEMENT, RateCard.Kind.ENTITLEMENT_OVERAGE)


def known(kind):
    """
    (Togai's id, name) of what cards of a kind bill, by name: features, or what some pulled plan bills so.

    Nothing for a kind that bills nothing by itself.
    """
    found = {}
    kinds = _OF_FEATURES if kind in _OF_FEATURES else (kind,)
    cards = RateCard.objects.filter(kind__in=kinds).exclude(billable_id="").order_by("billable_id")
    for billable_id, name in cards.values_list("billable_id", "name").distinct()[: 2 * MOST_OFFERED]:
        found.setdefault(billable_id, name)
    if kind in _OF_FEATURES:
        for feature in Feature.objects.order_by("name")[:MOST_OFFERED]:
            found[feature.togai_id] = str(feature)
    return sorted(found.items(), key=lambda entry: entry[1].lower())[:MOST_OFFERED]
