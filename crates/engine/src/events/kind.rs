/// How much an event matters to an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// A failure that must be fixed.
    Error,
    /// Something to check.
    Warning,
    /// Normal operation.
    Info,
}

macro_rules! kinds {
    ($($kind:ident = $name:literal, $severity:ident, $durable:literal;)*) => {
        /// The kind of an [`Event`](super::Event).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "they are described at Event")]
        pub enum Kind {
            $($kind,)*
        }

        impl Kind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// Returns the stable name: names may be added, never changed.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            /// Returns the severity.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self {
                    $(Self::$kind => Severity::$severity,)*
                }
            }

            /// Whether each event stands for a durable change of its own. If
            /// not, a request may cause it without a commit.
            #[must_use]
            pub fn is_durable(self) -> bool {
                match self {
                    $(Self::$kind => $durable,)*
                }
            }
        }
    };
}

// Name, severity, and whether it is a durable change.
kinds! {
    AccountChanged = "account_changed", Info, true;
    AccountCreated = "account_created", Info, true;
    AccountDeactivated = "account_deactivated", Info, true;
    AccountKeyChanged = "account_key_changed", Info, true;
    AuthorizationDeactivated = "authorization_deactivated", Info, true;
    ChallengeJudged = "challenge_judged", Info, true;
    ClockDeparted = "clock_departed", Error, false;
    ClockFollowed = "clock_followed", Warning, false;
    ClockReturned = "clock_returned", Info, false;
    CsrReceived = "csr_received", Info, false;
    EarlierOrdersUnread = "earlier_orders_unread", Warning, false;
    FreeSpaceBack = "free_space_back", Info, false;
    FreeSpaceLow = "free_space_low", Error, false;
    FreeSpaceUnknown = "free_space_unknown", Error, false;
    IssuanceFailed = "issuance_failed", Error, true;
    IssuancePostponed = "issuance_postponed", Error, false;
    Issued = "issued", Info, true;
    OrdersDisplaced = "orders_displaced", Warning, false;
    PaddedSignature = "padded_signature", Info, false;
    ProvisionalAccountsDropped = "provisional_accounts_dropped", Warning, false;
    Refused = "refused", Warning, false;
    Revoked = "revoked", Info, true;
    ServerIntentDropped = "server_intent_dropped", Warning, true;
    UdidDiffers = "udid_differs", Warning, false;
}
