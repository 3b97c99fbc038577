//! Which permission each operation asks for. An operation that is not here fails the walk, and so does one that is here
//! and is gone.

use super::ask::{Operation, document, operations};
use service::authz::Permission;
use std::collections::BTreeSet;

/// What opens an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Anybody: needs no credential. These may only become fewer.
    Public,
    /// Who has the permission, on the admin API.
    Needs(Permission),
    /// A gateway token.
    Gateway,
    /// A virtual key.
    Key,
}
use Door::{Gateway, Key, Needs, Public};

/// Every operation by its id.
const DOORS: &[(Door, &[&str])] = &[
    (
        Public,
        &["accept_invitation", "get_jwks", "live", "login", "ready", "refresh", "reset_password", "set_up"],
    ),
    (
        Needs(Permission::Account),
        &[
            "change_password",
            "end_other_sessions",
            "end_session",
            "forget_device",
            "get_me",
            "list_devices",
            "list_organizations",
            "list_sessions",
            "logout",
        ],
    ),
    (Needs(Permission::OrganizationRead), &["get_organization", "leave_organization"]),
    (Needs(Permission::OrganizationWrite), &["update_organization"]),
    (Needs(Permission::OrganizationSuspend), &["suspend_organization", "resume_organization"]),
    (Needs(Permission::MembersRead), &["list_members", "get_member", "list_invitations", "get_invitation"]),
    (
        Needs(Permission::MembersWrite),
        &[
            "update_member",
            "remove_member",
            "suspend_member",
            "resume_member",
            "create_invitation",
            "revoke_invitation",
        ],
    ),
    (Needs(Permission::TeamsRead), &["list_teams", "get_team"]),
    (
        Needs(Permission::TeamsWrite),
        &["create_team", "update_team", "delete_team", "suspend_team", "resume_team"],
    ),
    (Needs(Permission::TeamMembersRead), &["list_team_members", "get_team_member"]),
    (Needs(Permission::TeamMembersWrite), &["add_team_member", "update_team_member", "remove_team_member"]),
    (Needs(Permission::ServiceAccountsRead), &["list_service_accounts", "get_service_account"]),
    (
        Needs(Permission::ServiceAccountsWrite),
        &[
            "create_service_account",
            "update_service_account",
            "delete_service_account",
            "suspend_service_account",
            "resume_service_account",
        ],
    ),
    (
        Needs(Permission::KeysRead),
        &[
            "list_keys",
            "count_keys",
            "lookup_key",
            "get_key",
            "list_key_secrets",
            "get_key_secret",
            "explain_key",
            "list_key_limits",
        ],
    ),
    (
        Needs(Permission::KeysWrite),
        &[
            "create_key",
            "update_key",
            "delete_key",
            "disable_key",
            "enable_key",
            "transfer_key",
            "archive_expired_keys",
        ],
    ),
    (Needs(Permission::KeysRotate), &["rotate_key", "end_key_secret"]),
    (Needs(Permission::KeysRevoke), &["revoke_key", "revoke_keys"]),
    (Needs(Permission::AdminTokensRead), &["list_admin_tokens", "get_admin_token"]),
    (Needs(Permission::AdminTokensWrite), &["create_admin_token", "delete_admin_token"]),
    (Needs(Permission::GatewayTokensRead), &["list_gateway_tokens", "get_gateway_token"]),
    (Needs(Permission::GatewayTokensWrite), &["create_gateway_token", "delete_gateway_token"]),
    (
        Needs(Permission::ModelsRead),
        &[
            "list_providers",
            "get_provider",
            "list_models",
            "get_model",
            "list_model_aliases",
            "get_model_alias",
        ],
    ),
    (
        Needs(Permission::ModelsWrite),
        &[
            "create_provider",
            "update_provider",
            "delete_provider",
            "create_model",
            "update_model",
            "delete_model",
            "create_model_alias",
            "update_model_alias",
            "delete_model_alias",
        ],
    ),
    (
        Needs(Permission::PricesRead),
        &["list_prices", "get_price", "resolve_price", "quote_price", "export_prices"],
    ),
    (
        Needs(Permission::PricesWrite),
        &["create_price", "update_price", "delete_price", "end_price", "import_prices"],
    ),
    (Needs(Permission::ProxyPoolsRead), &["list_proxy_pools", "get_proxy_pool"]),
    (
        Needs(Permission::ProxyPoolsWrite),
        &[
            "create_proxy_pool",
            "update_proxy_pool",
            "delete_proxy_pool",
            "disable_proxy_pool",
            "enable_proxy_pool",
            "test_proxy_pool",
        ],
    ),
    (
        Needs(Permission::UsageRead),
        &[
            "list_usage_events",
            "get_usage_event",
            "get_key_usage",
            "get_team_usage",
            "get_connection_usage",
            "list_reservations",
            "get_reservation",
        ],
    ),
    (Needs(Permission::ReservationsWrite), &["resolve_reservation"]),
    (Needs(Permission::LimitsRead), &["list_limits", "get_limit", "list_limit_windows"]),
    (Needs(Permission::LimitsWrite), &["create_limit", "update_limit", "delete_limit", "reset_limit"]),
    (
        Needs(Permission::ConnectionsRead),
        &[
            "list_connections",
            "get_connection",
            "get_connection_health",
            "get_connection_icon",
            "list_connection_models",
            "list_mappings",
            "get_mapping",
        ],
    ),
    (
        Needs(Permission::ConnectionsWrite),
        &[
            "create_connection",
            "update_connection",
            "delete_connection",
            "enable_connection",
            "disable_connection",
            "clear_connection_errors",
            "set_connection_icon",
            "remove_connection_icon",
            "verify_connection_candidate",
            "verify_connections",
            "verify_connection",
            "discover_connection_models",
            "create_mapping",
            "update_mapping",
            "delete_mapping",
        ],
    ),
    (Needs(Permission::CredentialsRead), &["list_credentials", "get_credential"]),
    (Needs(Permission::CredentialsWrite), &["create_credential", "update_credential", "delete_credential"]),
    (Needs(Permission::PlatformTls), &["set_tls_verification"]),
    (Needs(Permission::AuditRead), &["list_audit_events", "verify_audit_events", "get_audit_checkpoint"]),
    (Needs(Permission::PlatformOrganizations), &["create_organization"]),
    (
        Needs(Permission::PlatformUsers),
        &["list_users", "get_user", "suspend_user", "resume_user", "create_reset_link"],
    ),
    (
        Needs(Permission::PlatformGatewayTokens),
        &[
            "list_platform_gateway_tokens",
            "get_platform_gateway_token",
            "create_platform_gateway_token",
            "delete_platform_gateway_token",
        ],
    ),
    (
        Needs(Permission::PlatformCatalogue),
        &[
            "list_platform_providers",
            "get_platform_provider",
            "create_platform_provider",
            "update_platform_provider",
            "delete_platform_provider",
            "list_platform_models",
            "get_platform_model",
            "create_platform_model",
            "update_platform_model",
            "delete_platform_model",
            "get_catalogue",
            "apply_catalogue",
        ],
    ),
    (
        Needs(Permission::PlatformCatalogue),
        &[
            "create_platform_price",
            "list_platform_prices",
            "get_platform_price",
            "update_platform_price",
            "delete_platform_price",
            "end_platform_price",
            "import_platform_prices",
            "get_price_feed",
            "refresh_price_feed",
            "export_platform_prices",
        ],
    ),
    (
        Needs(Permission::PlatformAudit),
        &["list_platform_audit_events", "verify_platform_audit_events", "get_platform_audit_checkpoint"],
    ),
    (Needs(Permission::PlatformMetrics), &["metrics"]),
    (
        Gateway,
        &[
            "authorize",
            "authorize_batch",
            "explain_authorize",
            "check_get",
            "check_post",
            "settle",
            "settle_batch",
            "void",
            "void_batch",
            "extend",
            "extend_batch",
            "report_usage",
            "report_usage_batch",
        ],
    ),
    (Key, &["get_own_key"]),
];

/// What opens this operation.
pub fn door(operation: &Operation) -> Door {
    let found = DOORS.iter().find(|(_, ids)| ids.contains(&operation.id()));
    found.unwrap_or_else(|| panic!("{} has no row in DOORS", operation.id())).0
}

#[test]
fn every_operation_has_its_door_and_the_document_agrees() {
    let operations = operations(document());
    for operation in &operations {
        let scheme = match door(operation) {
            Public => None,
            Needs(_) => Some("admin"),
            Gateway => Some("gateway"),
            Key => Some("virtual_key"),
        };
        assert_eq!(operation.scheme(), scheme, "{}", operation.id());
    }
    let listed: Vec<&str> = DOORS.iter().flat_map(|(_, ids)| ids.iter().copied()).collect();
    let served: BTreeSet<&str> = operations.iter().map(Operation::id).collect();
    assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), served);
    assert_eq!(listed.len(), served.len(), "an operation has two doors");
}

#[test]
fn every_permission_opens_something() {
    for permission in Permission::EVERY {
        assert!(DOORS.iter().any(|(door, _)| *door == Needs(*permission)), "{permission:?}");
    }
}
