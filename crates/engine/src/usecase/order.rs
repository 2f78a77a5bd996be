use std::collections::HashSet;

use assay_proto::{ChallengeType, Identifier, NewOrder, Timestamp, WireIdentifier};

use crate::{
    Context, Engine, Error,
    domain::{
        Account, Attribute, Authorization, Challenge, ChallengeState, Gate, Order, OrderState,
        Pending, Token,
    },
    engine::ATTEMPTS,
    error::{IdentifierFault, IdentifierRefusal},
    ids::{AccountId, AuthorizationId, OrderId},
    ports::{Change, CommitError, ConflictOn, OrderCursor, Versioned},
    refusal::Finding,
};

/// Orders of one page of an account's list.
const PAGE: usize = 50;

/// One page of an account's orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrdersPage {
    /// The orders, oldest first.
    pub orders: Vec<OrderId>,
    /// Where the next page begins, when there is one.
    pub next: Option<OrderCursor>,
}

impl Engine {
    /// newOrder: the first gate. Everything that can be refused without
    /// evidence is refused here, since an attestation is costly to the device.
    ///
    /// # Errors
    /// [`Error::IdentifierList`], [`Error::Identifiers`], [`Error::Validity`],
    /// [`Error::TooManyOpenOrders`], faults.
    pub async fn new_order(
        &self,
        context: &Context,
        account: Versioned<Account>,
        request: &NewOrder,
    ) -> Result<Order, Error> {
        let Versioned { value, version } = account;
        let clock = self.read_clock();
        let now = clock.now;
        let identifiers = self.parse_identifiers(context, value.id, &request.identifiers)?;
        let wanted = self.validity_limits(&clock)?.check(
            request.not_before,
            request.not_after,
            clock.issuing(),
        );
        clock.settle(wanted)?;
        let attributes = self.admit_all(context, value.id, &identifiers).await?;

        let id = OrderId::draw(self.random.as_ref());
        let latest = now.plus(self.limits.order_lifetime);
        let expires = request.not_after.map_or(latest, |end| end.min(latest));
        let authorizations: Vec<Authorization> = identifiers
            .iter()
            .zip(attributes)
            .map(|(identifier, attribute)| Authorization {
                id: AuthorizationId::draw(self.random.as_ref()),
                account: value.id,
                order: id,
                identifier: identifier.clone(),
                attribute,
                expires,
                deactivated: None,
                challenge: Challenge {
                    kind: ChallengeType::DeviceAttest01,
                    token: Token::draw(self.random.as_ref()),
                    state: ChallengeState::Pending,
                },
            })
            .collect();
        let order = Order {
            id,
            account: value.id,
            identifiers,
            authorizations: authorizations.iter().map(|one| one.id).collect(),
            not_before: request.not_before,
            not_after: request.not_after,
            created: now,
            expires,
            state: OrderState::Pending(Pending),
        };
        let mut changes = vec![Change::InsertOrder(order.clone(), self.limits.open_orders)];
        changes.extend(authorizations.into_iter().map(Change::InsertAuthorization));
        if value.first_order.is_none() {
            let account = Versioned { value, version };
            return self
                .commit_first_order(context, account, order, changes, now)
                .await;
        }
        self.commit(context, "new-order", now, changes).await?;
        Ok(order)
    }

    /// The first order of an account changes the account too, so that it is not
    /// forgotten meanwhile as one that never ordered.
    async fn commit_first_order(
        &self,
        context: &Context,
        account: Versioned<Account>,
        order: Order,
        changes: Vec<Change>,
        now: Timestamp,
    ) -> Result<Order, Error> {
        let mut current = account;
        for _ in 0..ATTEMPTS {
            let Versioned { value, version } = current;
            let mut changes = changes.clone();
            if value.first_order.is_none() {
                changes.push(Change::UpdateAccount(value.with_first_order(now), version));
            }
            match self.commit(context, "new-order", now, changes).await {
                Ok(_) => return Ok(order),
                Err(CommitError::Conflict(ConflictOn::Value)) => {
                    current = self.usable_account(order.account).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Contention)
    }

    /// An order of the account's. One whose signing was interrupted is brought
    /// to its end first.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Clock`] for one that has expired while the
    /// clock is in doubt, faults.
    pub async fn order(&self, account: AccountId, id: OrderId) -> Result<Versioned<Order>, Error> {
        match self.store.order(id).await? {
            Some(order) if order.value.account == account => {
                let order = self.resolve(order).await?;
                let clock = self.read_clock();
                if order.value.is_expired(clock.now) {
                    clock.settled()?;
                }
                Ok(order)
            }
            _ => Err(Error::NotFound("order")),
        }
    }

    /// The account's orders, from the one after `after` on.
    ///
    /// # Errors
    /// Faults.
    pub async fn orders(
        &self,
        account: AccountId,
        after: Option<OrderCursor>,
    ) -> Result<OrdersPage, Error> {
        let mut found = self.store.orders(Some(account), after, PAGE + 1).await?;
        let more = found.len() > PAGE;
        found.truncate(PAGE);
        Ok(OrdersPage {
            next: found.last().copied().filter(|_| more),
            orders: found.into_iter().map(|cursor| cursor.id).collect(),
        })
    }

    fn parse_identifiers(
        &self,
        context: &Context,
        account: AccountId,
        wire: &[WireIdentifier],
    ) -> Result<Vec<Identifier>, Error> {
        if wire.is_empty() {
            return Err(Error::IdentifierList(
                "an order needs at least one".to_owned(),
            ));
        }
        if wire.len() > self.limits.identifiers {
            return Err(Error::IdentifierList(format!(
                "{} are more than the {} that one order may have",
                wire.len(),
                self.limits.identifiers
            )));
        }
        let mut identifiers = Vec::with_capacity(wire.len());
        let mut refusals = Vec::new();
        for wire in wire {
            match Identifier::parse(wire) {
                Ok(identifier) => identifiers.push(identifier),
                Err(error) => refusals.push(IdentifierRefusal {
                    identifier: wire.clone(),
                    fault: IdentifierFault::Malformed(error),
                }),
            }
        }
        self.report_all(context, account, &refusals);
        if !refusals.is_empty() {
            return Err(Error::Identifiers(refusals));
        }
        let distinct: HashSet<&Identifier> = identifiers.iter().collect();
        if distinct.len() < identifiers.len() {
            return Err(Error::IdentifierList("one stands there twice".to_owned()));
        }
        Ok(identifiers)
    }

    async fn admit_all(
        &self,
        context: &Context,
        account: AccountId,
        identifiers: &[Identifier],
    ) -> Result<Vec<Attribute>, Error> {
        let mut attributes = Vec::with_capacity(identifiers.len());
        let mut refusals = Vec::new();
        for identifier in identifiers {
            match self.admission.admit(identifier).await? {
                Ok(attribute) => attributes.push(attribute),
                Err(fault) => refusals.push(IdentifierRefusal {
                    identifier: identifier.to_wire(),
                    fault,
                }),
            }
        }
        self.report_all(context, account, &refusals);
        if refusals.is_empty() {
            Ok(attributes)
        } else {
            Err(Error::Identifiers(refusals))
        }
    }

    fn report_all(&self, context: &Context, account: AccountId, refusals: &[IdentifierRefusal]) {
        for IdentifierRefusal { identifier, fault } in refusals {
            let finding = Finding {
                gate: Gate::Admission,
                kind: fault.kind(),
                account,
                order: None,
                identifier: &identifier.value,
                reason: fault.as_str(),
                detail: fault,
                object_sha256: None,
            };
            self.report(context, finding);
        }
    }
}
