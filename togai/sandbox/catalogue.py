"""What the sandbox ships with: Tidemark, an invented company that sells data software to businesses.

Sixteen accounts of ten customers in EUR, USD, JPY and KWD, what they may buy (``price_list``) and a few
deals of the past. Ids are derived from names, so they are the same in every state.
"""

from datetime import timedelta
from decimal import Decimal

from togai.sandbox.cards import ADD_ONS, ALL, FEATURES, METERS, add_on_id, feature_id, ident, meter_id, price
from togai.sandbox.moments import write_moment
from togai.sandbox.price_list import ANNUALLY, MONTHLY, plans

# (id, name, mail, street, city, country)
CUSTOMERS = [
    ("brightfold", "Brightfold Logistics", "billing@brightfold.example", "Speicherweg 14", "Hamburg", "DE"),
    ("canopy", "Canopy Health", "ap@canopy.example", "310 Larch Street", "Portland", "US"),
    ("doraku", "Doraku Robotics", "keiri@doraku.example", "2-8-1 Shinmachi", "Osaka", "JP"),
    ("ember-oak", "Ember & Oak Retail", "finance@emberoak.example", "12 Tanner Row", "Leeds", "GB"),
    ("fjordline", "Fjordline Energy", "invoices@fjordline.example", "Havnegata 3", "Bergen", "NO"),
    (
        "gulfstone",
        "Gulfstone Trading",
        "accounts@gulfstone.example",
        "Ahmad Al Jaber Street 40",
        "Kuwait City",
        "KW",
    ),
    ("halcyon", "Halcyon Media", "ap@halcyon.example", "77 Mercer Street", "New York", "US"),
    ("ivorymill", "Ivory Mill Foods", "buchhaltung@ivorymill.example", "Mühlgasse 9", "Graz", "AT"),
    ("kaito", "Kaitō Mobility", "payables@kaito.example", "1-4-7 Hakata", "Fukuoka", "JP"),
    ("lumenar", "Lumenar Systems", "factures@lumenar.example", "8 rue des Tanneurs", "Lyon", "FR"),
]

# (id, customer, name, currency, net term days, tags, alias, status, wallet in euros or None if inactive)
ACCOUNTS = [
    (
        "brightfold-eu",
        "brightfold",
        "Brightfold Europe",
        "EUR",
        30,
        ["enterprise", "eu"],
        "bf_prod",
        "ACTIVE",
        "1250",
    ),
    (
        "brightfold-us",
        "brightfold",
        "Brightfold Americas",
        "USD",
        45,
        ["enterprise", "us"],
        "bf_us",
        "ACTIVE",
        "0",
    ),
    (
        "canopy-main",
        "canopy",
        "Canopy Health",
        "USD",
        30,
        ["healthcare", "us"],
        "canopy_prod",
        "ACTIVE",
        "480.5",
    ),
    (
        "canopy-labs",
        "canopy",
        "Canopy Labs",
        "USD",
        15,
        ["healthcare", "pilot"],
        "canopy_labs",
        "ACTIVE",
        "0",
    ),
    (
        "doraku-jp",
        "doraku",
        "Doraku Robotics",
        "JPY",
        60,
        ["manufacturing", "apac"],
        "doraku",
        "ACTIVE",
        "3000",
    ),
    (
        "ember-oak-uk",
        "ember-oak",
        "Ember & Oak Online",
        "EUR",
        14,
        ["retail", "smb"],
        "eo_shop",
        "ACTIVE",
        "75",
    ),
    (
        "fjordline-grid",
        "fjordline",
        "Fjordline Grid",
        "EUR",
        30,
        ["energy", "enterprise"],
        "fjl_grid",
        "ACTIVE",
        "0",
    ),
    ("fjordline-wind", "fjordline", "Fjordline Wind", "EUR", 30, ["energy"], "fjl_wind", "ACTIVE", "210.75"),
    (
        "gulfstone-kw",
        "gulfstone",
        "Gulfstone Kuwait",
        "KWD",
        30,
        ["trading", "mena"],
        "gst_kw",
        "ACTIVE",
        "900",
    ),
    ("gulfstone-us", "gulfstone", "Gulfstone Houston", "USD", 30, ["trading", "us"], "gst_us", "ACTIVE", "0"),
    ("halcyon-news", "halcyon", "Halcyon News", "USD", 30, ["media"], "hal_news", "ACTIVE", "33.1"),
    (
        "halcyon-studios",
        "halcyon",
        "Halcyon Studios",
        "USD",
        30,
        ["media", "seasonal"],
        "hal_studio",
        "ACTIVE",
        None,
    ),
    ("ivorymill-at", "ivorymill", "Ivory Mill Foods", "EUR", 14, ["food", "smb"], "ivorymill", "ACTIVE", "0"),
    (
        "kaito-jp",
        "kaito",
        "Kaitō Mobility Japan",
        "JPY",
        60,
        ["mobility", "apac"],
        "kaito_prod",
        "ACTIVE",
        "0",
    ),
    (
        "lumenar-fr",
        "lumenar",
        "Lumenar Systems France",
        "EUR",
        30,
        ["enterprise", "eu"],
        "lumenar",
        "ACTIVE",
        "5000",
    ),
    ("lumenar-old", "lumenar", "Lumenar Archive", "EUR", 30, ["legacy"], "lumenar_old", "ARCHIVED", None),
]


def shipped(now):
    """The whole catalogue as :func:`togai.sandbox.loading.fill` takes it; ages count back from ``now``."""
    price_plans, rate_cards = _plans_and_cards(now)
    return {
        "customers": _customers(now),
        "accounts": _accounts(),
        "wallets": _wallets(),
        "wallet_entries": _wallet_entries(now),
        "credit_entries": _credit_entries(now),
        "features": _features(now),
        "add_ons": _add_ons(now),
        "usage_meters": _meters(now),
        "price_plans": price_plans,
        "rate_cards": rate_cards,
        **_past(now),
    }


def _ago(now, days):
    return write_moment(now - timedelta(days=days))


def _customers(now):
    return [
        {
            "id": identifier,
            "togaiCustomerId": ident("customer", identifier),
            "name": name,
            "primaryEmail": mail,
            "billingAddress": f"{street}, {city}, {country}",
            "address": {"line1": street, "city": city, "country": country},
            "status": "ACTIVE",
            "createdAt": _ago(now, 800 - 31 * index),
            "updatedAt": _ago(now, 90 - 7 * index),
        }
        for index, (identifier, name, mail, street, city, country) in enumerate(CUSTOMERS)
    ]


def _accounts():
    of_customer = {row[0]: row for row in CUSTOMERS}
    shown = []
    for identifier, customer, name, currency, terms, tags, alias, status, _ in ACCOUNTS:
        _, _, mail, street, city, country = of_customer[customer]
        shown.append(
            {
                "id": identifier,
                "togaiAccountId": ident("account", identifier),
                "togaiCustomerId": ident("customer", customer),
                "customerId": customer,
                "name": name,
                "invoiceCurrency": currency,
                "aliases": [{"alias": alias}],
                "netTermDays": terms,
                "primaryEmail": mail,
                "billingInformation": {"emailRecipients": [mail]},
                "address": {"line1": street, "city": city, "country": country},
                "status": status,
                "tags": tags,
                "metadata": {"crm": f"CRM-{ident('account', identifier)[8:12].upper()}"},
            }
        )
    return shown


def _wallets():
    shown = {}
    for identifier, _, _, currency, _, _, _, _, balance in ACCOUNTS:
        if balance is None:
            shown[identifier] = {"status": "INACTIVE"}
        else:
            shown[identifier] = {"balance": price(balance, currency)}
    return shown


def _wallet_entries(now):
    """How the first account's wallet came to its 1,250 euros."""
    put_in = {"transactionType": "CREDITED", "description": "top-up", "amount": Decimal(1500)}
    taken = {"transactionType": "DEBITED", "description": "invoice", "amount": Decimal(250)}
    return [
        (
            "brightfold-eu",
            {
                "id": ident("wallet", f"entry-{days}"),
                "status": "COMPLETED",
                "createdAt": _ago(now, days),
                "closingBalance": Decimal(closing),
                **moved,
            },
        )
        for moved, days, closing in ((put_in, 40, 1500), (taken, 12, 1250))
    ]


def _credit_entries(now):
    """What the running annual plan has granted: a year's allowance, a part of it used, and a smaller one."""
    return [
        (
            "lumenar-fr",
            feature_id(feature),
            {
                "id": f"{ident('purchase', 'annual-1')}${index}",
                "source": "PRICE_PLAN",
                "effectiveFrom": _ago(now, 50),
                "effectiveUntil": _ago(now, 50 - days),
                "granted": Decimal(granted),
                "used": Decimal(used),
                "balance": Decimal(granted) - Decimal(used),
            },
        )
        for index, (feature, days, granted, used) in enumerate(
            [("pipeline_runs", 365, "250000", "41250.5"), ("report_exports", 90, "500", "488")], start=1
        )
    ]


def _features(now):
    return [
        {
            "id": feature_id(name),
            "name": name,
            "displayName": display,
            "billableName": name,
            "schemaCount": 1 + index % 2,
            "createdAt": _ago(now, 700 - index),
            "updatedAt": _ago(now, 300 - index),
        }
        for index, (name, display) in enumerate(FEATURES.items())
    ]


def _add_ons(now):
    return [
        {
            "id": add_on_id(name),
            "name": name,
            "displayName": display,
            "billableName": name,
            "type": kind,
            "status": "ACTIVE",
            "createdAt": _ago(now, 690 - index),
        }
        for index, (name, (display, kind)) in enumerate(ADD_ONS.items())
    ]


def _meters(now):
    return [
        {
            "id": meter_id(name),
            "name": name,
            "displayName": display,
            "billableName": name,
            "type": "COUNTER",
            "aggregation": aggregation,
            "status": "ACTIVE",
            "createdAt": _ago(now, 680 - index),
        }
        for index, (name, (display, aggregation)) in enumerate(METERS.items())
    ]


def _plans_and_cards(now):
    price_plans, rate_cards = [], []
    for name, kind, description, currencies, cycle, versions in plans():
        identifier = ident("pp", name)
        for version, status, age, cards in versions:
            plan = {
                "id": identifier,
                "referenceId": identifier,
                "name": name,
                "description": description,
                "type": kind,
                "version": version,
                "status": status,
                "supportedCurrencies": list(currencies),
                "deferredRevenue": False,
                "allowOngoingCycleUpdates": False,
                "createdAt": _ago(now, age + 30),
                "updatedAt": _ago(now, age),
            }
            if cycle:
                plan["pricingCycleConfig"] = cycle
            price_plans.append(plan)
            for card in cards:
                own = {"referenceId": identifier, "referenceType": "PRICE_PLAN", "pricePlanId": identifier}
                billable = card["billableId"] or identifier
                rate_cards.append({**card, **own, "billableId": billable, "version": version})
    return price_plans, rate_cards


def _past(now):
    """A few deals that came before: one of each ending, and plans that run."""
    api, bundle = ident("pp", "API Call Pack"), ident("pp", "Launch Bundle")
    scale, annual = ident("pp", "Scale Monthly"), ident("pp", "Enterprise Annual")
    granted = {"type": "ENTITLEMENT_GRANT", "pricePlanId": api, "pricePlanVersion": 3}
    bundled = {"type": "ENTITLEMENT_GRANT", "pricePlanId": bundle, "pricePlanVersion": 1, "quantity": 1}
    topped_up = {"type": "WALLET_TOPUP", "walletTopupDetails": {"topupAmount": Decimal(306)}}
    attached = {"type": "ASSOCIATION", "pricePlanId": scale, "pricePlanVersion": 3}
    portion = {feature_id("api_calls"): Decimal("2.5")}
    return {
        "purchases": [
            {
                **_deal(now, "calls-1", account="brightfold-eu", days=60),
                **granted,
                **_worth("200", "EUR"),
                "quantity": 2,
                "status": "SUCCESS",
            },
            {
                **_deal(now, "calls-2", account="doraku-jp", days=3),
                **granted,
                **_worth("38800", "JPY"),
                "rateCardQuantities": portion,
                "status": "PENDING",
            },
            {
                **_deal(now, "topup-1", account="gulfstone-kw", days=25),
                **topped_up,
                **_worth("306", "KWD"),
                "status": "SUCCESS",
            },
        ],
        "proposals": [
            {
                **_deal(now, "bundle-1", account="canopy-labs", days=2),
                **bundled,
                **_worth("2827", "USD"),
                "paymentMode": "PREPAID",
                "status": "PROPOSAL_ACTIVE",
                "expiryDate": _ago(now, -21),
            },
            {
                **_deal(now, "bundle-2", account="ivorymill-at", days=40),
                **bundled,
                **_worth("2570", "EUR"),
                "paymentMode": "POSTPAID",
                "status": "PROPOSAL_DECLINED",
                "proposalResponseDate": _ago(now, 39),
                "comment": "Proposal declined",
            },
            {
                **_deal(now, "bundle-3", account="ember-oak-uk", days=75),
                **bundled,
                **_worth("2570", "EUR"),
                "paymentMode": "PREPAID",
                "status": "PROPOSAL_EXPIRED",
                "expiryDate": _ago(now, 61),
                "comment": "Proposal expired",
            },
            {
                **_deal(now, "scale-1", account="fjordline-grid", days=95),
                **attached,
                "paymentMode": "POSTPAID",
                "status": "SUCCESS",
                "proposalResponseDate": _ago(now, 94),
                "effectiveFrom": _ago(now, 90)[:10],
                "comment": "Purchase successful",
            },
        ],
        "invoices": [
            _order(now, "calls-1", account="brightfold-eu", status="PAID", days=60, total="200"),
            _order(now, "calls-2", account="doraku-jp", status="DUE", days=3, total="38800"),
            _order(now, "topup-1", account="gulfstone-kw", status="PAID", days=25, total="306"),
            {
                **_invoice(now, "scale-1", account="fjordline-grid", status="DUE", days=10, total="1284.6"),
                "invoiceClass": "INVOICE",
                "invoiceType": "STANDARD",
                "pricePlanId": scale,
            },
        ],
        "schedules": [
            {
                **_schedule(now, "scale-1", account="fjordline-grid", days=90),
                "pricePlanId": scale,
                "version": 3,
                "pricePlanInfo": {"name": "Scale Monthly"},
                "accountScheduleInfo": {"supportedCurrencies": list(ALL), "pricingCycleConfig": MONTHLY},
            },
            {
                **_schedule(now, "annual-1", account="lumenar-fr", days=50),
                "pricePlanId": annual,
                "version": 2,
                "pricePlanInfo": {"name": "Enterprise Annual"},
                "accountScheduleInfo": {"supportedCurrencies": list(ALL), "pricingCycleConfig": ANNUALLY},
            },
        ],
    }


def _deal(now, name, *, account, days):
    return {
        "id": ident("purchase", name),
        "accountId": account,
        "createdAt": _ago(now, days),
        "updatedAt": _ago(now, days - 1),
        "idempotencyKey": f"past-{name}",
    }


def _worth(amount, currency):
    return {"price": Decimal(amount), "invoiceCurrency": currency}


def _invoice(now, name, *, account, status, days, total):
    moment = _ago(now, days)
    return {
        "id": ident("inv", name),
        "ownerId": account,
        "customerId": next(customer for identifier, customer, *_ in ACCOUNTS if identifier == account),
        "status": status,
        "invoiceDate": moment,
        "dueDate": _ago(now, days - 30),
        "generatedAt": moment,
        "updatedAt": moment,
        "totalAmount": Decimal(total),
        "paidAmount": Decimal(total) if status == "PAID" else Decimal(0),
        "netTermDays": 30,
    }


def _order(now, name, **facts):
    """The order of the deal of the same name; a paid one has become an invoice."""
    return {
        **_invoice(now, name, **facts),
        "invoiceClass": "ORDER" if facts["status"] == "DUE" else "INVOICE",
        "invoiceType": "AD_HOC",
        "purchaseId": ident("purchase", name),
    }


def _schedule(now, name, *, account, days):
    midnight = (now - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "id": ident("sch", name),
        "accountId": account,
        "deferredRevenue": False,
        "startDate": write_moment(midnight),
        "endDate": "9999-01-01T00:00:00Z",
        "allowOngoingCycleUpdates": False,
        "isOverridden": False,
    }
