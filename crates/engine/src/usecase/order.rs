use std::collections::HashSet;

use assay_proto::{ChallengeType, Identifier, NewOrder, WireIdentifier};

use crate::{
    Context, Engine, Error,
    domain::{
        Account, Attribute, Authorization, Challenge, ChallengeState, Gate, Order, OrderState,
        Origin, Pending, Token,
    },
    engine::ATTEMPTS,
    error::{IdentifierFault, IdentifierRefusal},
    ids::{AccountId, AuthorizationId, OrderId},
    ports::{Change, CommitError, ConflictOn, OrderCursor, Versioned},
    refusal::{Finding, LimitReached},
    time::ClockReading,
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
    /// [`Error::TooManyOpenOrders`], [`Error::NoSpace`], [`Error::Crowded`],
    /// faults.
    pub async fn new_order(
        &self,
        context: &Context,
        account: Versioned<Account>,
        request: &NewOrder,
    ) -> Result<Order, Error> {
        let account = account.value.id;
        let made = self.make_order(context, account, request).await;
        if let Err(error) = &made
            && let Some(limit) = LimitReached::of(error)
        {
            self.report_limit(context, account, &request.identifiers, &limit);
        }
        made
    }

    async fn make_order(
        &self,
        context: &Context,
        account: AccountId,
        request: &NewOrder,
    ) -> Result<Order, Error> {
        if self.is_space_low() {
            return Err(Error::NoSpace);
        }
        let clock = self.read_clock();
        let now = clock.now;
        let identifiers = self.parse_identifiers(context, account, &request.identifiers)?;
        let wanted = self.validity_limits(&clock)?.check(
            request.not_before,
            request.not_after,
            clock.issuing(),
        );
        clock.settle(wanted)?;
        let attributes = self.admit_all(context, account, &identifiers).await?;

        let id = OrderId::draw(self.random.as_ref());
        let latest = now.plus(self.limits.order_lifetime);
        let expires = request.not_after.map_or(latest, |end| end.min(latest));
        let authorizations: Vec<Authorization> = identifiers
            .iter()
            .zip(attributes)
            .map(|(identifier, attribute)| Authorization {
                id: AuthorizationId::draw(self.random.as_ref()),
                account,
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
            account,
            identifiers,
            authorizations: authorizations.iter().map(|one| one.id).collect(),
            not_before: request.not_before,
            not_after: request.not_after,
            created: now,
            expires,
            state: OrderState::Pending(Pending),
            origin: context.client.map(Origin::of),
            proven: false,
        };
        self.insert_order(context, &clock, &order, authorizations)
            .await?;
        Ok(order)
    }

    /// Inserts an order; where there are too many, others give way in the same
    /// commit.
    async fn insert_order(
        &self,
        context: &Context,
        clock: &ClockReading,
        order: &Order,
        authorizations: Vec<Authorization>,
    ) -> Result<(), Error> {
        let mut is_full = false;
        for _ in 0..ATTEMPTS {
            let mut room = self.room_among_all(order, clock).await?;
            if is_full {
                self.room_in_account(order, clock.now, &mut room).await?;
            }
            let mut changes = std::mem::take(&mut room.changes);
            changes.push(Change::InsertOrder(order.clone(), room.limits));
            changes.extend((authorizations.iter().cloned()).map(Change::InsertAuthorization));
            match self.commit(context, "new-order", clock.now, changes).await {
                Ok(_) => {
                    self.displaced_orders.add_displaced(&room.displaced);
                    return Ok(());
                }
                Err(CommitError::Conflict(ConflictOn::OpenOrders)) => is_full = true,
                Err(CommitError::Conflict(_)) => {}
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
            let detail = fault.to_string();
            self.remember_refusal(context, account, identifier, fault.as_str(), &detail);
        }
    }
}
