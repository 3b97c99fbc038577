//! `tollkeeper admin …`: what only the operator can do, from the machine itself and without signing in. The secrets of the
//! installation are the proof.

use crate::config::Config;
use anyhow::Context;
use clap::builder::PossibleValuesParser;
use entity::status::Role;
use serde_json::{Value, json};
use service::{
    Ctx, System, password_reset,
    scope::Scope,
    user::{self, Invitee},
};
use std::sync::Arc;

/// What to do.
#[derive(clap::Args)]
pub struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Invite a person; prints the one-time token that opens the account.
    CreateUser {
        /// The address.
        email: String,
        /// The organization, by id or slug.
        #[arg(long, default_value = "default")]
        organization: String,
        /// The role in it.
        #[arg(long, default_value = "member",
              value_parser = PossibleValuesParser::new(["owner", "admin", "member", "billing", "viewer"]))]
        role: String,
    },
    /// Print a one-time token with which a person sets a new password.
    ResetLink {
        /// The address.
        email: String,
    },
}

/// Runs it.
pub async fn run(config: &Config, options: Options) -> anyhow::Result<()> {
    let system = super::installation(config).await?;
    match options.action {
        Action::CreateUser { email, organization, role } => {
            let role = serde_json::from_value::<Role>(Value::String(role))?;
            create_user(&system, Invitee { email, organization, role }).await
        }
        Action::ResetLink { email } => reset_link(&system, &email).await,
    }
}

async fn create_user(system: &Arc<System>, invitee: Invitee) -> anyhow::Result<()> {
    let email = invitee.email.clone();
    let token = user::create_by_operator(system, invitee).await?;
    let body = json!({"token": token.expose(), "name": "<name>", "password": "<15 characters or more>"});
    say!("{email} opens the account with this, once, within seven days:\n");
    say!("  POST {}/v1/auth/accept-invitation\n  {body}", system.settings.public_url);
    Ok(())
}

async fn reset_link(system: &Arc<System>, email: &str) -> anyhow::Result<()> {
    let ctx = Ctx::internal(system, Scope::platform());
    let account = user::by_email(&ctx, &user::fold_email(email)).await?;
    let account = account.with_context(|| format!("{email} has no account"))?;
    let link = serde_json::to_value(password_reset::create(&ctx, account.id).await?)?;
    let body = json!({"token": link["token"], "password": "<15 characters or more>"});
    say!("{email} sets a new password with this, once, within 24 hours:\n");
    say!("  POST {}/v1/auth/reset\n  {body}", system.settings.public_url);
    Ok(())
}
