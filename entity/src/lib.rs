//! The tables as SeaORM entities, one small file a table, and the value types their columns hold.
//!
//! An entity knows no business: no rule, no query, no clock. What a column *means* is in its doc
//! comment; what may happen to it is in `service`.

#![deny(clippy::float_arithmetic)]

pub mod admin_token;
pub mod audit_event;
pub mod catalogue_state;
pub mod clock_watch;
pub mod connection_icon;
pub mod connection_state;
pub mod credential;
pub mod credential_activity;
pub mod data_key;
pub mod device;
pub mod discovered_model;
pub mod endpoint;
pub mod gateway_token;
pub mod id;
pub mod idempotency_record;
pub mod instance;
pub mod invitation;
pub mod json;
pub mod key_secret;
pub mod ledger;
pub mod limit;
pub mod limit_window;
pub mod login_throttle;
pub mod membership;
pub mod model;
pub mod model_alias;
pub mod model_mapping;
pub mod model_params;
pub mod money;
pub mod org_head;
pub mod organization;
pub mod password_reset;
pub mod policy_log;
pub mod price;
pub mod price_feed;
pub mod provider;
pub mod provider_connection;
pub mod proxy_entry;
pub mod proxy_pool;
pub mod refresh_token;
pub mod reservation;
pub mod secret;
pub mod secret_check;
pub mod service_account;
pub mod session;
pub mod status;
pub mod team;
pub mod team_member;
pub mod terms;
pub mod usage_event;
pub mod usage_latency;
pub mod usage_raw;
pub mod usage_rollup;
pub mod user_account;
pub mod virtual_key;
