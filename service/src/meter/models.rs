//! What the organization, the team, the key and the connection say about models: a model may be called if every one of
//! them lets it, by all of its names. Pure.

use super::{
    code::Code,
    decide::Check,
    facts::{Facts, Owner},
    glob::any_match,
    question::Call,
};
use crate::price::names::Names;
use entity::{id::ConnectionId, json::Texts};
use serde::Serialize;
use utoipa::ToSchema;

/// What one of the key's superiors, the key itself, or the connection says about models.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ModelRule {
    /// Whose rule it is: `organization`, `team`, `key` or `connection`.
    #[schema(value_type = String, example = "team")]
    pub owner: &'static str,
    /// Globs of the models it allows; null = all.
    #[schema(required)]
    pub allowed_models: Option<Texts>,
    /// Globs of the models it denies, whatever allows them; null = none.
    #[schema(required)]
    pub denied_models: Option<Texts>,
}

struct Rule<'f> {
    owner: &'static str,
    /// Which one, where the key does not say it.
    id: Option<ConnectionId>,
    allowed: Option<&'f Texts>,
    denied: Option<&'f Texts>,
}

impl Rule<'_> {
    fn restricts(&self) -> bool {
        self.allowed.is_some() || self.denied.is_some_and(|Texts(globs)| !globs.is_empty())
    }

    /// It denies by any name, and allows by one of them.
    fn refusal(&self, names: &Names) -> Option<String> {
        let named = |Texts(globs): &Texts| any_match(globs, names.all());
        let model = names.requested();
        if self.denied.is_some_and(named) {
            return Some(format!("the {} denies {model}", self.name()));
        }
        let missing = self.allowed.is_some_and(|globs| !named(globs));
        missing.then(|| format!("the {} does not allow {model}", self.name()))
    }

    fn name(&self) -> String {
        let id = self.id.map(|id| format!(" {id}"));
        format!("{}{}", self.owner, id.unwrap_or_default())
    }
}

impl Facts {
    fn rules(&self) -> impl Iterator<Item = Rule<'_>> {
        let of = |owner, allowed| Rule { owner, id: None, allowed, denied: None };
        let team = match &self.owner {
            Owner::Team(Some(team)) => Some(of("team", team.allowed_models.as_ref())),
            _ => None,
        };
        let denied = self.key.denied_models.as_ref();
        let key = Rule { denied, ..of("key", self.key.allowed_models.as_ref()) };
        let connection = self.connection.as_ref().map(|connection| Rule {
            id: Some(connection.id),
            ..of("connection", connection.allowed_models.as_ref())
        });
        let organization = of("organization", self.organization.allowed_models.as_ref());
        [Some(organization), team, Some(key), connection].into_iter().flatten().filter(Rule::restricts)
    }

    /// The rules about models that the key, and the call's connection, are under. A model may be called if every one of them lets it.
    pub fn model_rules(&self) -> Vec<ModelRule> {
        let shown = |rule: Rule<'_>| ModelRule {
            owner: rule.owner,
            allowed_models: rule.allowed.cloned(),
            denied_models: rule.denied.cloned(),
        };
        self.rules().map(shown).collect()
    }
}

pub(super) fn model(facts: &Facts, call: &Call) -> Check {
    const MODEL: &str = "model";
    if call.models.is_empty() {
        return match facts.rules().next() {
            None => Check::passed(MODEL, "no model was named, and nothing restricts models"),
            Some(rule) => {
                let detail = format!("no model was named, and the {} restricts models", rule.name());
                Check::failed(MODEL, Code::ModelNotAllowed, detail)
            }
        };
    }
    let rules = facts
        .rules()
        .flat_map(|rule| facts.names.iter().filter_map(move |names| rule.refusal(names)).collect::<Vec<_>>());
    let disabled = facts.names.iter().filter_map(|names| {
        let reason = names.disabled()?;
        Some(format!("{} may not be called: {reason}", names.requested()))
    });
    let refusals: Vec<String> = rules.chain(disabled).collect();
    if refusals.is_empty() {
        Check::passed(MODEL, "every rule allows the model")
    } else {
        Check::failed(MODEL, Code::ModelNotAllowed, refusals.join("; "))
    }
}
