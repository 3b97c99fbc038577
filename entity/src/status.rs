//! The closed sets that columns hold, stored as text.

use sea_orm::prelude::StringLen;
use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident),* $(,)? }) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
        $(#[$doc])*
        #[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant),* }
    };
}

mod upstream;
pub use upstream::*;

text_enum! {
    /// Whether an organization, a user, a membership, a team or a service account is at work.
    Standing {
        /// At work.
        Active,
        /// Stopped: its keys are refused until it is resumed.
        Suspended,
        /// Gone: kept for history only, never shown.
        Deleted,
    }
}
text_enum! {
    /// What a virtual key's administrators decided about it.
    KeyStatus {
        /// May be used.
        Active,
        /// Refused until it is enabled again.
        Disabled,
        /// Refused for ever.
        Revoked,
    }
}
text_enum! {
    /// A membership's role in its organization.
    Role {
        /// Everything, and the only one who makes other owners.
        Owner,
        /// Everything but owners.
        Admin,
        /// Works in teams, with keys of one's own.
        Member,
        /// Reads everything that costs money; changes nothing.
        Billing,
        /// Reads; changes nothing.
        Viewer,
    }
}
text_enum! {
    /// A role in one team.
    TeamRole {
        /// Issues the team's keys and manages its members.
        Admin,
        /// Belongs to the team.
        Member,
    }
}
text_enum! {
    /// What kind of principal acted.
    ActorKind {
        /// A signed-in person.
        User,
        /// An admin token.
        AdminToken,
        /// A gateway token.
        GatewayToken,
        /// A virtual key.
        VirtualKey,
        /// The operator's command line or the server itself.
        System,
        /// Nobody who has proved an identity.
        Anonymous,
    }
}
text_enum! {
    /// How a price charges.
    #[derive(Default)]
    PriceKind {
        /// By the token, with a rate for each class of tokens.
        #[default]
        PerToken,
        /// By the token, the whole call at the rates of the tier that its size falls in.
        Tiered,
        /// By the request.
        PerRequest,
        /// By the image, the second or the character.
        PerUnit,
        /// Nothing for a call: a subscription is paid for.
        Flat,
    }
}
text_enum! {
    /// Where a row of the catalogue or the price book comes from.
    Origin {
        /// Somebody made or changed it here.
        Manual,
        /// A price list that was imported.
        Import,
        /// The catalogue that ships with the server.
        Catalogue,
    }
}
text_enum! {
    /// What happens to a call for which no price is found.
    UnpricedPolicy {
        /// It is refused where its cost is limited.
        Refuse,
        /// It is charged by the default price.
        Default,
        /// It is allowed, and marked as unpriced.
        Allow,
    }
}
text_enum! {
    /// What happens where the price of a call can only be guessed, from the model that is most like its own.
    PriceGuess {
        /// It is charged at the guess, and counted as guessed.
        Flag,
        /// It is charged at the guess.
        Allow,
        /// It has no price.
        Never,
    }
}

/// Where the price of a call comes from.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    EnumIter,
    DeriveActiveEnum,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(32))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum PriceSource {
    /// A price of the connection.
    Connection,
    /// The organization's price of the model at the provider.
    OrganizationProviderModel,
    /// The organization's price of the model.
    OrganizationModel,
    /// The organization's price of a glob.
    OrganizationGlob,
    /// The platform's price of the model at the provider.
    PlatformProviderModel,
    /// The platform's price of the model.
    PlatformModel,
    /// The platform's price of a glob.
    PlatformGlob,
    /// A guess: the platform's price of the model that is most like it.
    Family,
    /// The default price.
    Default,
    /// Nowhere: it has no price.
    None,
    /// What the provider says that it charges.
    ProviderStated,
    /// A correction of what was charged before.
    Correction,
}

text_enum! {
    /// Whose calls a limit counts.
    SubjectKind {
        /// Every call of the organization.
        Organization,
        /// Calls with the keys of a team.
        Team,
        /// Calls with those keys of a team that one person issued.
        Member,
        /// Calls with the keys that a person owns.
        User,
        /// Calls with the keys that a service account owns.
        ServiceAccount,
        /// Calls with one key.
        Key,
        /// Calls that name a provider connection.
        Connection,
    }
}
text_enum! {
    /// Whom a template is counted for, each by itself.
    Each {
        /// Every key under the subject.
        Key,
        /// Every person under the subject.
        Member,
        /// Every service account under the subject.
        ServiceAccount,
    }
}
text_enum! {
    /// What a limit counts.
    Metric {
        /// Calls.
        Requests,
        /// Tokens of every class.
        Tokens,
        /// Tokens of the prompt, cached ones too.
        InputTokens,
        /// Tokens of the completion, reasoning too.
        OutputTokens,
        /// What calls cost, in the limit's currency.
        Cost,
        /// Calls that are open at the same time.
        Concurrency,
    }
}
text_enum! {
    /// How long a limit counts before it begins anew.
    Period {
        /// One call by itself: a cap, which counts nothing.
        Request,
        /// A minute.
        Minute,
        /// An hour.
        Hour,
        /// A day.
        Day,
        /// A week, from Monday.
        Week,
        /// A month.
        Month,
        /// Three months, from January, April, July and October.
        Quarter,
        /// A year.
        Year,
        /// For ever.
        Total,
    }
}
text_enum! {
    /// What comes of a limit that a call does not fit.
    Mode {
        /// The call is denied.
        Block,
        /// The call is allowed, and the answer says so.
        Warn,
        /// The call is allowed, and only counted as one that would have been denied.
        Shadow,
    }
}
text_enum! {
    /// Who set a limit, and so may change it.
    SetBy {
        /// Who administers the organization.
        Organization,
        /// Who administers a team: below what the organization set.
        Team,
    }
}
text_enum! {
    /// What became of an authorized call.
    #[schema(as = SettlementState)]
    ReservationState {
        /// It holds its worst case.
        Held,
        /// What it used is known.
        Settled,
        /// It did not happen.
        Voided,
    }
}
text_enum! {
    /// How a call went.
    #[derive(Default)]
    UsageStatus {
        /// As it should.
        #[default]
        Success,
        /// The provider failed.
        Error,
        /// The client went away.
        Aborted,
        /// It was not sent to the provider.
        Skipped,
    }
}
text_enum! {
    /// How usage came to be known.
    UsageOrigin {
        /// A call that was authorized was settled.
        Authorize,
        /// A proxy asked, and its request was counted.
        Check,
        /// A gateway reported a call that was not authorized here.
        Usage,
    }
}
text_enum! {
    /// What became of a usage object that cannot be read exactly.
    RawUsage {
        /// It is kept, sealed, for a while.
        Kept,
        /// It is too large to be kept.
        TooLarge,
        /// It could not be sealed, and so was not kept.
        NotSealed,
    }
}
text_enum! {
    /// What a sum of usage is of.
    Grain {
        /// An hour.
        Hour,
        /// A day.
        Day,
    }
}
