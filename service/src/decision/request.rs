//! What is asked: the requests, and how they are understood.

use crate::{
    Result,
    meter::{Asker, Call, Gateway, Proof, Question},
    validate::Faults,
};
use entity::json::Tags;
use serde::Deserialize;
use std::{fmt, net::IpAddr};
use utoipa::ToSchema;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Models of one call.
const MODELS: usize = 32;
/// Characters of a model or a scope.
const NAME: usize = 256;

/// A virtual key as a client presented it. It cannot be printed, and its memory is wiped.
#[derive(Clone, Deserialize, ToSchema, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
#[schema(as = PresentedKey, value_type = String, example = "tk_…")]
pub struct Presented(String);

impl Presented {
    /// What could be a key, or nothing. No I/O.
    pub(super) fn proof(&self) -> Proof {
        Proof::read(&self.0)
    }
}

impl From<&str> for Presented {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Whose client is told of a denial, and so in what form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorFormat {
    /// As OpenAI words its errors.
    #[default]
    Openai,
    /// As Anthropic words its errors.
    Anthropic,
}

/// A call that a gateway asks about.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDecision {
    /// The virtual key as the client presented it, well-formed or not.
    pub key: Presented,
    /// The model as the client named it. A key restricted to models is refused without one.
    #[serde(default)]
    #[schema(example = "gpt-4o-mini", min_length = 1, max_length = 256)]
    pub model: Option<String>,
    /// Instead of `model`: the model and its fallbacks, 1–32; every one must be allowed.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 32)]
    pub models: Option<Vec<String>>,
    /// What kind of call it is. A key restricted to kinds of call is refused without one.
    #[serde(default)]
    #[schema(example = "chat", min_length = 1, max_length = 256)]
    pub scope: Option<String>,
    /// Where the client calls from. A key restricted to networks is refused without it.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "203.0.113.7")]
    pub client_ip: Option<IpAddr>,
    /// In what form a denial's `client_response` is.
    #[serde(default)]
    pub error_format: ErrorFormat,
    /// Labels of this call; the key's own win.
    #[serde(default)]
    pub tags: Tags,
}

/// A call that an administrator asks about.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeyCall {
    /// The model.
    #[schema(example = "gpt-4o-mini", min_length = 1, max_length = 256)]
    pub model: Option<String>,
    /// Instead of `model`: the model and its fallbacks, 1–32.
    #[schema(min_items = 1, max_items = 32)]
    pub models: Option<Vec<String>>,
    /// What kind of call it is.
    #[schema(example = "chat", min_length = 1, max_length = 256)]
    pub scope: Option<String>,
    /// Where it would come from.
    #[schema(value_type = Option<String>, example = "203.0.113.7")]
    pub client_ip: Option<IpAddr>,
}

impl KeyCall {
    /// The call, if its values are acceptable.
    pub(super) fn understood(self, tags: &Tags) -> Result<Call> {
        let mut faults = Faults::default();
        let both = self.model.is_some() && self.models.is_some();
        faults.when(both, "/models", "exclusive", "give model or models, not both");
        if let Some(model) = &self.model {
            name(&mut faults, "/model", model);
        }
        if let Some(models) = &self.models {
            faults.when(models.is_empty(), "/models", "required", "must not be empty");
            faults.when(models.len() > MODELS, "/models", "too_many", "must have at most 32 entries");
            models
                .iter()
                .enumerate()
                .for_each(|(n, model)| name(&mut faults, &format!("/models/{n}"), model));
        }
        if let Some(scope) = &self.scope {
            name(&mut faults, "/scope", scope);
        }
        faults.tags("/tags", tags);
        faults.finish()?;
        let models = self.models.unwrap_or_else(|| self.model.into_iter().collect());
        Ok(Call { models, scope: self.scope, client_ip: self.client_ip })
    }
}

fn name(faults: &mut Faults, pointer: &str, text: &str) {
    faults.when(text.is_empty(), pointer, "required", "must not be empty");
    faults.text(pointer, text, NAME);
}

impl NewDecision {
    /// The question of this gateway.
    pub(super) fn question(self, gateway: Gateway) -> Result<Question> {
        let NewDecision { key, model, models, scope, client_ip, error_format: _, tags } = self;
        let call = KeyCall { model, models, scope, client_ip }.understood(&tags)?;
        Ok(Question { asker: Asker::Gateway(gateway), key: key.proof(), call })
    }
}
