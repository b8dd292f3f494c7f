"""What happens to purchases and proposals: togai.md 5.1, moved along by the clock whenever somebody looks.

Every step is dated when it was due, not when it was noticed, so the history reads as if a background
process had done it.
"""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from togai.sandbox import pricing, rules
from togai.sandbox.identifiers import new_id
from togai.sandbox.moments import FOR_EVER, after, from_micros, micros, read_moment, write_moment
from togai.sandbox.refusals import bad_request
from togai.sandbox.state import Record

ACTIVE = "PROPOSAL_ACTIVE"
APPROVED = "PROPOSAL_APPROVED"
DECLINED = "PROPOSAL_DECLINED"
EXPIRED = "PROPOSAL_EXPIRED"
PENDING = "PENDING"
IN_PROGRESS = "IN_PROGRESS"
SUCCESS = "SUCCESS"
FAILURE = "FAILURE"
UNDER_WAY = {APPROVED, PENDING, IN_PROGRESS}
DECIDED_WORDS = {APPROVED: "approved", DECLINED: "declined", EXPIRED: "expired"}


class LifeCycle:
    """The verbs on purchases, proposals and orders. The caller holds the state's transaction."""

    def __init__(self, state, switches):
        self._state = state
        self._switches = switches

    # Beginnings

    def create(self, *, account, body, plan, details, now):
        """Store a new purchase, or proposal when the body has a payment mode; returns its record."""
        is_proposal = "paymentMode" in body
        shown = {
            "id": new_id("purchase"),
            "accountId": account.id,
            "type": body.get("type", "ENTITLEMENT_GRANT"),
            **{key: value for key, value in body.items() if key != "type"},
            "status": ACTIVE if is_proposal else PENDING,
            "createdAt": write_moment(now),
            "updatedAt": write_moment(now),
        }
        if plan is not None:
            shown["pricePlanVersion"] = plan.body["version"]
        currency = rules.currency_of(account)
        price = _price(body, details, currency)
        if price is not None:
            shown["price"] = price
            shown["invoiceCurrency"] = currency
        record = Record(
            kind="purchase",
            id=shown["id"],
            owner=account.id,
            sort=micros(now),
            body=shown,
            inner={
                "proposal": is_proposal,
                "planName": plan.body["name"] if plan else None,
                "details": details,
            },
        )
        if is_proposal:
            record.body["comment"] = "Proposal created"
            if "expiryDate" in body:
                record.inner["step"] = EXPIRED
                record.due = micros(read_moment(body["expiryDate"]))
        else:
            self._raise_order(record, now)
        self._state.put(record, at=micros(now))
        return record

    # Decisions

    def decide(self, proposal, decision, now):
        """APPROVE or DECLINE an active proposal; any other state is refused with 400 (assumed)."""
        status = proposal.body["status"]
        if status != ACTIVE and self._switches().guards_decisions:
            word = DECIDED_WORDS.get(status, "approved")
            raise bad_request(f"Proposal {proposal.id} is already {word}; it cannot be decided again.")
        proposal.due = None
        proposal.inner.pop("step", None)
        proposal.body["proposalResponseDate"] = write_moment(now)
        if decision == "DECLINE":
            self._move(proposal, DECLINED, now, "Proposal declined")
            return
        if proposal.body["paymentMode"] == "PREPAID":
            self._raise_order(proposal, now)
        else:
            self._next(proposal, IN_PROGRESS, now)
        self._move(proposal, APPROVED, now, "Proposal approved")

    def expire(self, proposal, now):
        """Expire an active proposal at once, as a tester in the console may.

        :raises Refusal: when it is not active
        """
        if proposal.body["status"] != ACTIVE:
            raise bad_request(f"{proposal.id} is {proposal.body['status']}, not an active proposal.")
        proposal.due = None
        self._move(proposal, EXPIRED, now, "Proposal expired")

    # Money

    def pay(self, order, now):
        """Mark an invoice paid; an order's purchase goes on.

        :raises Refusal: when the invoice cannot be paid any more
        """
        if order.body["status"] not in {"DUE", "PARTIALLY_PAID", "DRAFT"}:
            raise bad_request(f"Invoice {order.id} is {order.body['status']}; it cannot be paid.")
        order.body["status"] = "PAID"
        order.body["paidAmount"] = order.body["totalAmount"]
        # An order becomes an invoice once it is paid (togai.md 1.1).
        order.body["invoiceClass"] = "INVOICE"
        self._touch_invoice(order, now)
        purchase = self._purchase_of(order)
        if purchase is not None and purchase.body["status"] in {PENDING, APPROVED}:
            self._next(purchase, IN_PROGRESS, now)
            self._state.put(purchase, at=micros(now))

    def void(self, order, status, now):
        """Give up an unpaid invoice (VOID or UN_COLLECTIBLE); an order takes its purchase down (assumed)."""
        if order.body["status"] not in {"DUE", "PARTIALLY_PAID", "DRAFT"}:
            raise bad_request(f"Invoice {order.id} is {order.body['status']}; it cannot become {status}.")
        order.body["status"] = status
        self._touch_invoice(order, now)
        purchase = self._purchase_of(order)
        if purchase is not None and purchase.body["status"] in UNDER_WAY:
            self.fail(purchase, now, f"Order {order.id} is {status}")

    def set_invoice_status(self, invoice, status, now):
        """What PATCH /invoices/{id} may do."""
        if status == "PAID":
            self.pay(invoice, now)
        elif status in {"VOID", "UN_COLLECTIBLE"}:
            self.void(invoice, status, now)
        else:
            allowed = {"DUE": {"DRAFT", "DUE"}, "REFUND_INITIATED": {"PAID"}}[status]
            if invoice.body["status"] not in allowed:
                raise bad_request(
                    f"Invoice {invoice.id} is {invoice.body['status']}; it cannot become {status}."
                )
            invoice.body["status"] = status
            self._touch_invoice(invoice, now)

    def fail(self, purchase, now, comment="Failed in Togai's console"):
        """End a purchase under way as FAILURE.

        :raises Refusal: when it is not under way
        """
        if purchase.body["status"] not in UNDER_WAY:
            raise bad_request(
                f"{purchase.id} is {purchase.body['status']}; only a purchase under way can fail."
            )
        purchase.due = None
        purchase.inner.pop("step", None)
        self._move(purchase, FAILURE, now, comment)

    def top_up(self, wallet, amount, now, *, entity_id=None):
        """Credit a wallet and write the entry."""
        wallet.body["balance"] = Decimal(wallet.body["balance"]) + amount
        wallet.body["updatedAt"] = write_moment(now)
        self._state.put(wallet, at=micros(now))
        entry = {
            "id": new_id("wallet"),
            "walletId": wallet.body["id"],
            "transactionType": "CREDITED",
            "status": "COMPLETED",
            "amount": amount,
            "closingBalance": wallet.body["balance"],
            "createdAt": write_moment(now),
            "description": "top-up",
        }
        if entity_id:
            entry["entityId"] = entity_id
        self._state.put(
            Record(kind="wallet_entry", id=entry["id"], owner=wallet.owner, sort=micros(now), body=entry),
            at=micros(now),
        )

    # Time

    def catch_up(self, now):
        """Do every step whose time has come, in the order of their times."""
        while (record := self._state.due(micros(now))) is not None:
            moment = from_micros(record.due)
            step = record.inner.pop("step")
            record.due = None
            if step == EXPIRED:
                self._move(record, EXPIRED, moment, "Proposal expired")
            elif step == PENDING:
                self._move(record, PENDING, moment, "Waiting for the order to be paid")
            elif step == IN_PROGRESS:
                self._next(record, SUCCESS, moment)
                self._move(record, IN_PROGRESS, moment, "Granting")
            else:
                self._finish(record, moment)

    # Inside

    def _next(self, record, step, now):
        record.inner["step"] = step
        record.due = micros(now + timedelta(milliseconds=self._switches().step_delay_ms))

    def _move(self, record, status, now, comment):
        record.body["status"] = status
        record.body["comment"] = comment
        record.body["updatedAt"] = write_moment(now)
        self._state.put(record, at=micros(now))

    def _raise_order(self, record, now):
        account = self._state.get("account", record.owner)
        total = record.body.get("price", Decimal(0))
        terms = account.body.get("netTermDays", 0)
        order = {
            "id": new_id("inv"),
            "ownerId": account.id,
            "customerId": account.body["customerId"],
            "status": "DUE" if total > 0 else "PAID",
            "invoiceClass": "ORDER" if total > 0 else "INVOICE",
            "invoiceType": "AD_HOC",
            "invoiceDate": write_moment(now),
            "dueDate": write_moment(now + timedelta(days=terms)),
            "generatedAt": write_moment(now),
            "updatedAt": write_moment(now),
            "totalAmount": total,
            "paidAmount": Decimal(0),
            "netTermDays": terms,
        }
        if "pricePlanId" in record.body:
            order["pricePlanId"] = record.body["pricePlanId"]
        self._state.put(
            Record(
                kind="invoice",
                id=order["id"],
                owner=account.id,
                sort=micros(now),
                body=order,
                inner={"purchase": record.id},
            ),
            at=micros(now),
        )
        record.body["invoiceId"] = order["id"]
        if total > 0:
            record.body["comment"] = "Waiting for the order to be paid"
            if record.inner["proposal"]:
                self._next(record, PENDING, now)
        else:
            # An order of nothing is paid by itself and confirms the purchase (togai.md 1.1).
            self._next(record, IN_PROGRESS, now)

    def _touch_invoice(self, invoice, now):
        invoice.body["updatedAt"] = write_moment(now)
        self._state.put(invoice, at=micros(now))

    def _purchase_of(self, order):
        identifier = order.inner.get("purchase")
        return self._state.get("purchase", identifier) if identifier else None

    def _finish(self, record, now):
        problem = None
        kind = record.body["type"]
        if kind == "WALLET_TOPUP":
            problem = self._finish_topup(record, now)
        elif kind == "ASSOCIATION":
            problem = self._finish_association(record, now)
        else:
            self._grant(record, now, source="ENTITLEMENT")
        if problem:
            self._move(record, FAILURE, now, problem)
        else:
            self._move(record, SUCCESS, now, "Purchase successful")

    def _finish_topup(self, record, now):
        wallet = self._state.get("wallet", record.owner)
        if wallet is None or wallet.body["status"] != "ACTIVE":
            return "The wallet is not ACTIVE"
        amount = Decimal(record.body["walletTopupDetails"]["topupAmount"])
        self.top_up(wallet, amount, now, entity_id=record.body.get("invoiceId"))
        return None

    def _finish_association(self, record, now):
        start, end = rules.window(record.body)
        if rules.clash(self._state, record.owner, start, end) is not None:
            return "Another schedule was made for these days"
        begins = datetime.combine(start, time(), tzinfo=UTC)
        for schedule in self._state.select("schedule", owner=record.owner):
            if (
                read_moment(schedule.body["endDate"]) >= FOR_EVER
                and schedule.body["startDate"][:10] < start.isoformat()
            ):
                schedule.body["endDate"] = write_moment(begins)
                self._state.put(schedule, at=micros(now))
        override = record.body.get("associationOverride")
        identifier = new_id("sch")
        body = {
            "id": identifier,
            "accountId": record.owner,
            "pricePlanId": record.body["pricePlanId"],
            "version": record.body["pricePlanVersion"],
            "deferredRevenue": False,
            "pricePlanInfo": {"name": record.inner["planName"]},
            "accountScheduleInfo": {
                "supportedCurrencies": record.inner["details"]["supportedCurrencies"],
                "pricingCycleConfig": record.inner["details"].get(
                    "pricingCycleConfig", {"interval": "MONTHLY", "gracePeriod": 0}
                ),
            },
            "startDate": write_moment(begins),
            "endDate": write_moment(datetime.combine(end, time(), tzinfo=UTC)),
            "allowOngoingCycleUpdates": False,
            "isOverridden": bool(override),
        }
        self._state.put(
            Record(
                kind="schedule",
                id=identifier,
                owner=record.owner,
                sort=micros(begins),
                body=body,
                inner={"details": record.inner["details"]},
            ),
            at=micros(now),
        )
        self._grant(record, begins, source="PRICE_PLAN")
        return None

    def _grant(self, record, start, *, source):
        quantity_of = rules.quantity_of(record.body)
        index = 0
        for card in record.inner["details"].get("billingEntitlementRateCards", ()):
            granted = pricing.credits_granted(card, quantity_of(card["featureId"]))
            for config, units in zip(card["featureConfigs"], granted, strict=True):
                index += 1
                if not units:
                    continue
                entry = {
                    "id": f"{record.id}${index}",
                    "source": source,
                    "effectiveFrom": write_moment(after(start, config.get("effectiveFrom", "PT0S"))),
                    "effectiveUntil": write_moment(after(start, config["effectiveUntil"])),
                    "granted": units,
                    "balance": units,
                    "used": Decimal(0),
                }
                self._state.put(
                    Record(
                        kind="credit_entry",
                        id=entry["id"],
                        owner=f"{record.owner}\n{card['featureId']}",
                        sort=micros(start) - index,
                        body=entry,
                        inner={"account": record.owner, "feature": card["featureId"], "purchase": record.id},
                    ),
                    at=micros(start),
                )


def new_wallet(account, now, *, balance=Decimal(0), status="ACTIVE"):
    """The body of the wallet that every account has."""
    return {
        "id": new_id("wallet"),
        "accountId": account["id"],
        "customerId": account["customerId"],
        "balance": balance,
        "holdAmount": Decimal(0),
        "creditUnit": account.get("invoiceCurrency", rules.BASE_CURRENCY),
        "status": status,
        "effectiveFrom": write_moment(now),
        "createdAt": write_moment(now),
        "updatedAt": write_moment(now),
    }


def _price(body, details, currency):
    kind = body.get("type", "ENTITLEMENT_GRANT")
    if kind == "WALLET_TOPUP":
        topup = body["walletTopupDetails"]
        return pricing.to_minor_unit(Decimal(topup.get("purchaseAmount", topup["topupAmount"])), currency)
    if kind == "ASSOCIATION":
        # Postpaid, the first invoice is the cycle's: there is nothing to pay for the association itself.
        return None if body.get("paymentMode") == "POSTPAID" else pricing.advance_price(details, currency)
    return pricing.purchase_price(details, currency, rules.quantity_of(body))
