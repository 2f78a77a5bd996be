use std::collections::HashSet;

use assay_proto::{ChallengeType, Identifier, NewOrder, WireIdentifier};

use crate::{
    AccountContext, Engine, Error,
    admission::AdmissionPolicy,
    directories::Directory,
    domain::{
        Admitted, Authorization, AuthorizationDetails, Challenge, Gate, Order, OrderDetails,
        Origin, Token,
    },
    error::{IdentifierFault, IdentifierRefusal},
    events::{Event, Refused},
    ids::{AuthorizationId, ChallengeId, OrderId},
    ports::{Change, ConflictOn, Direction, OrderCursor, OrderList, Versioned},
    refusal::LimitReached,
    time::ClockReading,
};

/// Orders per page of an account's list.
const PAGE: usize = 50;

/// One page of an account's orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrdersPage {
    /// The orders, oldest first.
    pub orders: Vec<OrderId>,
    /// The start of the next page, if there is one.
    pub next: Option<OrderCursor>,
}

impl Engine {
    /// newOrder: the first gate. Everything that can be refused without
    /// evidence is refused here, because an attestation is costly for the
    /// device.
    ///
    /// # Errors
    /// [`Error::IdentifierList`], [`Error::Identifiers`], [`Error::Validity`],
    /// [`Error::TooManyOpenOrders`], [`Error::NoSpace`], [`Error::Crowded`];
    /// faults.
    pub async fn new_order(
        &self,
        context: &AccountContext,
        asked: &NewOrder,
    ) -> Result<Order, Error> {
        let directory = self.directory(&context.by.value.directory)?;
        let made = self.make_order(context, directory, asked).await;
        if let Err(error) = &made
            && let Some(limit) = LimitReached::of(error)
        {
            self.report_limit(context, &asked.identifiers, &limit);
        }
        made
    }

    async fn make_order(
        &self,
        context: &AccountContext,
        directory: &Directory,
        asked: &NewOrder,
    ) -> Result<Order, Error> {
        if self.is_space_low() {
            return Err(Error::NoSpace);
        }
        let clock = self.read_clock();
        let now = clock.now;
        let identifiers = self.parse_identifiers(context, &asked.identifiers)?;
        let (profile_name, profile) = directory.default_profile();
        let limits = self.validity_limits(profile, &clock)?;
        clock.settle(limits.check(asked.not_before, asked.not_after, clock.issuing()))?;
        let admission = directory.admission();
        let admitted = self.admit_all(context, admission, &identifiers).await?;

        let order = OrderId::draw(self.random.as_ref());
        let latest = now.plus(self.limits.order_lifetime);
        let expires = asked.not_after.map_or(latest, |end| end.min(latest));
        let authorizations: Vec<Authorization> = identifiers
            .iter()
            .zip(admitted)
            .map(|(identifier, admitted)| {
                let id = AuthorizationId::draw(self.random.as_ref());
                let details = AuthorizationDetails {
                    id,
                    account: context.account(),
                    order,
                    identifier: identifier.clone(),
                    admitted,
                };
                let challenges = self.challenges_for(&details);
                Authorization::new(details, expires, challenges)
            })
            .collect();
        let order = Order::new(OrderDetails {
            id: order,
            account: context.account(),
            directory: directory.name(),
            profile: profile_name,
            identifiers,
            authorizations: authorizations.iter().map(|one| one.id).collect(),
            not_before: asked.not_before,
            not_after: asked.not_after,
            created: now,
            expires,
            origin: context.request.client.map(Origin::of),
        });
        self.insert_order(context, &clock, &order, authorizations)
            .await?;
        Ok(order)
    }

    /// Returns the challenges offered for an identifier: `device-attest-01`,
    /// and those of the validators that serve it.
    fn challenges_for(&self, authorization: &AuthorizationDetails) -> Vec<Challenge> {
        let random = self.random.as_ref();
        let first = ChallengeId::first_of(authorization.id);
        let attest = ChallengeType::DeviceAttest01;
        let mut challenges = vec![Challenge::new(first, attest, Token::draw(random))];
        let validators = self.validators.iter();
        let serving = validators.filter(|one| one.serves(&authorization.identifier));
        challenges.extend(serving.map(|one| {
            let id = ChallengeId::draw(random);
            Challenge::new(id, one.kind(), Token::draw(random))
        }));
        challenges
    }

    /// Inserts an order; if there are too many, others are displaced in the
    /// same commit.
    async fn insert_order(
        &self,
        context: &AccountContext,
        clock: &ClockReading,
        order: &Order,
        authorizations: Vec<Authorization>,
    ) -> Result<(), Error> {
        let mut is_full = false;
        let mut attempts = self.attempts(&context.request);
        loop {
            let mut room = self.room_among_all(order, clock).await?;
            is_full |= attempts.conflict() == Some(ConflictOn::OpenOrders);
            if is_full {
                self.room_in_account(order, clock.now, &mut room).await?;
            }
            let mut changes = std::mem::take(&mut room.changes);
            changes.push(Change::InsertOrder(order.clone(), room.limits));
            changes.extend((authorizations.iter().cloned()).map(Change::InsertAuthorization));
            if attempts.commit("new-order", clock.now, changes).await? {
                self.displaced_orders.add_displaced(&room.displaced);
                return Ok(());
            }
        }
    }

    /// Returns an order of the account. If its signing was interrupted, that is
    /// resolved first.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Clock`] if it has expired while the clock
    /// is in doubt; faults.
    pub async fn order(
        &self,
        context: &AccountContext,
        id: OrderId,
    ) -> Result<Versioned<Order>, Error> {
        match self.store.order(id).await? {
            Some(order) if order.value.account == context.account() => {
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

    /// Returns a page of the account's orders, following `after`.
    ///
    /// # Errors
    /// Faults.
    pub async fn orders(
        &self,
        context: &AccountContext,
        after: Option<OrderCursor>,
    ) -> Result<OrdersPage, Error> {
        let list = OrderList::OfAccount(context.account());
        let found = self.store.orders(list, after, Direction::Newer, PAGE + 1);
        let mut found = found.await?;
        let more = found.len() > PAGE;
        found.truncate(PAGE);
        Ok(OrdersPage {
            next: found.last().copied().filter(|_| more),
            orders: found.into_iter().map(|cursor| cursor.id).collect(),
        })
    }

    fn parse_identifiers(
        &self,
        context: &AccountContext,
        wire: &[WireIdentifier],
    ) -> Result<Vec<Identifier>, Error> {
        if wire.is_empty() {
            return Err(Error::IdentifierList(
                "an order needs at least one identifier".to_owned(),
            ));
        }
        if wire.len() > self.limits.identifiers {
            return Err(Error::IdentifierList(format!(
                "{} identifiers are more than the {} that one order may have",
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
        self.report_all(context, &refusals);
        if !refusals.is_empty() {
            return Err(Error::Identifiers(refusals));
        }
        let distinct: HashSet<&Identifier> = identifiers.iter().collect();
        if distinct.len() < identifiers.len() {
            return Err(Error::IdentifierList(
                "an identifier appears twice".to_owned(),
            ));
        }
        Ok(identifiers)
    }

    async fn admit_all(
        &self,
        context: &AccountContext,
        admission: &AdmissionPolicy,
        identifiers: &[Identifier],
    ) -> Result<Vec<Admitted>, Error> {
        let mut admitted = Vec::with_capacity(identifiers.len());
        let mut refusals = Vec::new();
        for identifier in identifiers {
            match admission.admit(identifier).await? {
                Ok(by) => admitted.push(by),
                Err(fault) => refusals.push(IdentifierRefusal {
                    identifier: identifier.to_wire(),
                    fault,
                }),
            }
        }
        self.report_all(context, &refusals);
        if refusals.is_empty() {
            Ok(admitted)
        } else {
            Err(Error::Identifiers(refusals))
        }
    }

    fn report_all(&self, context: &AccountContext, refusals: &[IdentifierRefusal]) {
        for IdentifierRefusal { identifier, fault } in refusals {
            self.report(&Event::Refused(Refused {
                request: &context.request,
                gate: Gate::Admission,
                kind: fault.kind(),
                account: context.account(),
                order: None,
                identifier: &identifier.value,
                reason: fault.as_str(),
                detail: fault,
                object_sha256: None,
                issuance: None,
            }));
            let detail = fault.to_string();
            self.remember_refusal(context, identifier, fault.as_str(), &detail);
        }
    }
}
