//! Who may do what: the permission matrix, one table in one file. The documentation is printed from it.

use crate::scope::Reach;
use entity::{
    id::{TeamId, UserId},
    status::{Role, TeamRole},
};

/// How far a role carries a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// Not at all.
    No,
    /// To one's own rows.
    Own,
    /// To the team in which one has the role.
    Team,
    /// To everything.
    All,
}
use Grant::{All, No, Own, Team};

/// What each role grants for one permission, in the order of the columns of the matrix.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    owner: Grant,
    admin: Grant,
    member: Grant,
    billing: Grant,
    viewer: Grant,
    team_admin: Grant,
    team_member: Grant,
    operator: Grant,
}

macro_rules! matrix {
    ($($permission:ident $word:literal $what:literal :
       $owner:ident $admin:ident $member:ident $billing:ident $viewer:ident | $team_admin:ident $team_member:ident | $operator:ident;)*) => {
        /// Something that may be permitted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Permission { $(#[doc = $what] $permission),* }

        impl Permission {
            /// Every permission, in the order of the matrix.
            pub const EVERY: &'static [Self] = &[$(Self::$permission),*];

            /// Its name in tokens and documents.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$permission => $word),* }
            }
            /// What it lets one do.
            pub const fn what(self) -> &'static str {
                match self { $(Self::$permission => $what),* }
            }
            /// Who has it.
            pub const fn row(self) -> Row {
                match self { $(Self::$permission => Row {
                    owner: $owner, admin: $admin, member: $member, billing: $billing, viewer: $viewer,
                    team_admin: $team_admin, team_member: $team_member, operator: $operator,
                }),* }
            }
        }

        /// The permissions as types, for signatures: `Allow<permit::KeysWrite>`.
        pub mod permit {
            use super::{Permission, Permit};
            $(#[doc = $what]
            #[derive(Debug, Clone, Copy)]
            pub struct $permission;
            impl Permit for $permission {
                const PERMISSION: Permission = Permission::$permission;
            })*
        }
    };
}

/// A permission as a type.
pub trait Permit: Send + Sync + 'static {
    /// Which one.
    const PERMISSION: Permission;
}

// Columns: owner admin member billing viewer | team admin, team member | operator.
matrix! {
    Account "account" "act on one's own account and sessions":
        Own Own Own Own Own | No No | Own;
    OrganizationRead "organization:read" "read the organization and its settings":
        All All All All All | No No | All;
    OrganizationWrite "organization:write" "change the organization and its settings":
        All All No No No | No No | No;
    MembersRead "members:read" "list members and invitations":
        All All No All All | Team No | No;
    MembersWrite "members:write" "invite, change, suspend and remove members":
        All All No No No | Team No | No;
    TeamsRead "teams:read" "read teams":
        All All Own All All | Team Team | No;
    TeamsWrite "teams:write" "make, change, suspend and delete teams":
        All All No No No | No No | No;
    TeamMembersRead "team_members:read" "list the members of teams":
        All All Own All All | Team Team | No;
    TeamMembersWrite "team_members:write" "add, change and remove the members of teams":
        All All No No No | Team No | No;
    ServiceAccountsRead "service_accounts:read" "read service accounts":
        All All No All All | No No | No;
    ServiceAccountsWrite "service_accounts:write" "make, change, suspend and delete service accounts":
        All All No No No | No No | No;
    KeysRead "keys:read" "read virtual keys":
        All All Own All All | Team No | No;
    KeysWrite "keys:write" "issue, change, disable, transfer and delete virtual keys":
        All All No No No | Team No | No;
    KeysRotate "keys:rotate" "rotate virtual keys and end a rotation's grace":
        All All Own No No | Team No | No;
    KeysRevoke "keys:revoke" "revoke virtual keys":
        All All Own No No | Team No | No;
    AdminTokensRead "admin_tokens:read" "list admin tokens":
        All All No No No | No No | No;
    AdminTokensWrite "admin_tokens:write" "make and delete admin tokens":
        All All No No No | No No | No;
    GatewayTokensRead "gateway_tokens:read" "list gateway tokens":
        All All No No No | No No | No;
    GatewayTokensWrite "gateway_tokens:write" "make and delete gateway tokens":
        All All No No No | No No | No;
    LimitsRead "limits:read" "read limits and what they have counted":
        All All Own All All | Team No | No;
    LimitsWrite "limits:write" "make, change, reset and delete limits":
        All All No No No | Team No | No;
    UsageRead "usage:read" "read usage, costs and reservations":
        All All Own All All | Team No | No;
    ReservationsWrite "reservations:write" "settle and void reservations that are unresolved":
        All All No No No | Team No | No;
    PricesRead "prices:read" "read prices and work out what a call costs":
        All All All All All | No No | No;
    PricesWrite "prices:write" "make, schedule, end and import prices":
        All All No No No | No No | No;
    ModelsRead "models:read" "read providers, models and model aliases":
        All All All All All | No No | No;
    ModelsWrite "models:write" "make, change and delete providers, models and model aliases":
        All All No No No | No No | No;
    ConnectionsRead "connections:read" "read provider connections, their mappings and models":
        All All No All All | Team No | No;
    ConnectionsWrite "connections:write" "make, change, verify, disable and delete provider connections and their mappings":
        All All No No No | Team No | No;
    CredentialsRead "credentials:read" "list the credentials of connections, never their secrets":
        All All No No No | Team No | No;
    CredentialsWrite "credentials:write" "add, drain, retire and delete the credentials of connections":
        All All No No No | Team No | No;
    ProxyPoolsRead "proxy_pools:read" "read proxy pools, never their passwords":
        All All No All All | Team No | No;
    ProxyPoolsWrite "proxy_pools:write" "make, change, test and delete proxy pools":
        All All No No No | No No | No;
    AuditRead "audit:read" "read and verify the audit log":
        All All No All All | Team No | No;
    OrganizationSuspend "platform:suspend" "suspend and resume an organization":
        No No No No No | No No | All;
    PlatformOrganizations "platform:organizations" "make organizations":
        No No No No No | No No | All;
    PlatformUsers "platform:users" "list, suspend, resume and reset users":
        No No No No No | No No | All;
    PlatformGatewayTokens "platform:gateway_tokens" "list, make and delete gateway tokens for all organizations":
        No No No No No | No No | All;
    PlatformCatalogue "platform:catalogue" "read and change the providers, models and prices of the installation":
        No No No No No | No No | All;
    PlatformTls "platform:tls" "let a connection go without looking at the certificate of its upstream":
        No No No No No | No No | All;
    PlatformAudit "platform:audit" "read and verify the audit log of the installation":
        No No No No No | No No | All;
    PlatformMetrics "platform:metrics" "read the metrics of the installation":
        No No No No No | No No | All;
}

impl Row {
    /// What a role in the organization grants.
    pub const fn role(&self, role: Role) -> Grant {
        match role {
            Role::Owner => self.owner,
            Role::Admin => self.admin,
            Role::Member => self.member,
            Role::Billing => self.billing,
            Role::Viewer => self.viewer,
        }
    }
    /// What a role in a team grants.
    pub const fn team(&self, role: TeamRole) -> Grant {
        match role {
            TeamRole::Admin => self.team_admin,
            TeamRole::Member => self.team_member,
        }
    }
    /// What running the installation grants.
    pub const fn operator(&self) -> Grant {
        self.operator
    }
}

impl Permission {
    /// Permissions that a role in an organization can carry, and an admin token with it.
    pub fn is_tenant(self) -> bool {
        self.row().owner == All
    }

    /// The permission behind a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::EVERY.iter().copied().find(|permission| permission.word() == word)
    }

    /// How far a member reaches with it; none if not at all.
    pub fn reach(self, role: Role, user: UserId, teams: &[(TeamId, TeamRole)]) -> Option<Reach> {
        let row = self.row();
        let base = row.role(role);
        if base == All {
            return Some(Reach::All);
        }
        let teams: Vec<TeamId> =
            teams.iter().filter(|(_, role)| row.team(*role) >= Team).map(|(team, _)| *team).collect();
        let own = (base >= Own).then_some(user);
        (own.is_some() || !teams.is_empty()).then_some(Reach::Limited { teams, user: own })
    }
}

/// The matrix as a Markdown table, for the documentation.
pub fn markdown() -> String {
    use std::fmt::Write;
    let cell = |grant: Grant| match grant {
        No => "·",
        Own => "own",
        Team => "team",
        All => "all",
    };
    let mut text = String::from(
        "| permission | lets one | owner | admin | member | billing | viewer | team admin | team member | operator |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for permission in Permission::EVERY {
        let row = permission.row();
        let cells = [
            row.owner,
            row.admin,
            row.member,
            row.billing,
            row.viewer,
            row.team_admin,
            row.team_member,
            row.operator,
        ]
        .map(cell)
        .join(" | ");
        let _ = writeln!(text, "| `{}` | {} | {cells} |", permission.word(), permission.what());
    }
    text
}
