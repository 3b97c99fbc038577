//! What is asked about a call: the requests, and how they are understood.

use crate::{
    Result,
    cost::MOST,
    meter::{
        Asker, Call, Gateway, Proof, Question, Size, Task,
        command::{Command, fingerprint},
    },
    validate::Faults,
};
use entity::{
    id::{ConnectionId, ReservationId},
    json::Tags,
};
use serde::Deserialize;
use std::{fmt, net::IpAddr};
use utoipa::ToSchema;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Models of one call.
const MODELS: usize = 32;
/// Characters of a model or a scope.
const NAME: usize = 256;
/// Characters of a project or a session.
const LABEL: usize = 255;
/// Seconds until an authorized call is unresolved, unless it says otherwise.
const SECONDS: i64 = 600;
/// The longest that it may say, a day.
const LONGEST: i64 = 86_400;

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
    /// As Google words its errors.
    Gemini,
}

/// Makes a struct of a call, with fields of its own before.
macro_rules! call {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$attribute:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$attribute])* pub $field: $type,)*
            /// The model as the client named it. A key restricted to models is refused without one, and so is one whose
            /// cost is limited.
            #[serde(default)]
            #[schema(example = "gpt-4o-mini", min_length = 1, max_length = 256)]
            pub model: Option<String>,
            /// Instead of `model`: the model and its fallbacks, 1–32; every one must be allowed, and the dearest is held.
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
            /// The most tokens that the prompt has.
            #[serde(default)]
            #[schema(minimum = 0, maximum = 1_000_000_000_000_u64, example = 1200)]
            pub input_tokens: Option<u64>,
            /// Instead of `input_tokens`: the bytes of the request, which bound its tokens. Without either, the model's
            /// context window does.
            #[serde(default)]
            #[schema(minimum = 0, maximum = 1_000_000_000_000_u64)]
            pub input_bytes: Option<u64>,
            /// The most tokens that the completion may have. Without it the organization's cap counts, or else the model's.
            #[serde(default)]
            #[schema(minimum = 0, maximum = 1_000_000_000_000_u64, example = 500)]
            pub max_output_tokens: Option<u64>,
            /// The most images, for a model that is charged by the image.
            #[serde(default)]
            #[schema(minimum = 0, maximum = 1_000_000_000_000_u64)]
            pub images: Option<u64>,
            /// The most seconds of audio or video, for a model that is charged by the second.
            #[serde(default)]
            #[schema(minimum = 0, maximum = 1_000_000_000_000_u64)]
            pub seconds: Option<u64>,
            /// The most characters, for a model that is charged by the character.
            #[serde(default)]
            #[schema(minimum = 0, maximum = 1_000_000_000_000_u64)]
            pub characters: Option<u64>,
            /// The connection that is to serve it: it must be at work and the key's to use, it may restrict models, and its
            /// limits and prices count.
            #[serde(default)]
            pub connection_id: Option<ConnectionId>,
            /// The client's project, for reports.
            #[serde(default)]
            #[schema(max_length = 255)]
            pub project: Option<String>,
            /// The client's session, for reports.
            #[serde(default)]
            #[schema(max_length = 255)]
            pub session_id: Option<String>,
            /// Labels of this call; the key's own win.
            #[serde(default)]
            pub tags: Tags,
        }

        impl $name {
            /// The call, if its values are acceptable.
            pub(super) fn call(&self, faults: &mut Faults) -> Call {
                let size = Size {
                    input_tokens: self.input_tokens,
                    input_bytes: self.input_bytes,
                    max_output_tokens: self.max_output_tokens,
                    images: self.images,
                    seconds: self.seconds,
                    characters: self.characters,
                };
                let named = (self.model.clone(), self.models.clone());
                understood(faults, named, Call {
                    models: Vec::new(),
                    scope: self.scope.clone(),
                    client_ip: self.client_ip,
                    size,
                    connection_id: self.connection_id,
                    project: self.project.clone(),
                    session_id: self.session_id.clone(),
                    tags: self.tags.clone(),
                })
            }
        }
    };
}

call! {
    /// A call that a gateway asks about.
    pub struct NewDecision {
        /// The virtual key as the client presented it, well-formed or not.
        pub key: Presented,
        /// In what form a denial's `client_response` is.
        #[serde(default)]
        #[schema(default = "openai")]
        pub error_format: ErrorFormat,
        /// Names the call, so that asking again holds nothing twice: a UUIDv7 of now, chosen by the gateway. Absent, one is
        /// made.
        #[serde(default)]
        pub reservation_id: Option<ReservationId>,
        /// Seconds until the call is unresolved, if nothing is heard of it; it can be extended.
        #[serde(default)]
        #[schema(minimum = 1, maximum = 86_400, default = 600)]
        pub expires_in: Option<i64>,
    }
}

call! {
    /// A call that an administrator asks about.
    #[derive(Default)]
    pub struct KeyCall {}
}

impl NewDecision {
    /// A call with this key of which nothing else is known.
    pub fn of(key: Presented) -> Self {
        Self {
            key,
            error_format: ErrorFormat::default(),
            reservation_id: None,
            expires_in: None,
            model: None,
            models: None,
            scope: None,
            client_ip: None,
            input_tokens: None,
            input_bytes: None,
            max_output_tokens: None,
            images: None,
            seconds: None,
            characters: None,
            connection_id: None,
            project: None,
            session_id: None,
            tags: Tags::default(),
        }
    }

    /// The question of this gateway.
    pub(super) fn question(&self, gateway: Gateway) -> Result<Question> {
        let mut faults = Faults::default();
        let call = self.call(&mut faults);
        seconds(&mut faults, "/expires_in", self.expires_in);
        faults.finish()?;
        Ok(Question { asker: Asker::Gateway(gateway), key: self.key.proof(), call })
    }

    /// The question as a command that holds. What is no key holds nothing, whatever it asks.
    pub(super) fn command(&self, gateway: Gateway) -> Result<Task> {
        let question = self.question(gateway)?;
        if question.key.key().is_none() {
            return Ok(Task::Look(question));
        }
        let seconds = self.expires_in.unwrap_or(SECONDS);
        let print = fingerprint(&(question.key.key(), &question.call, seconds))?;
        let reservation = self.reservation_id;
        Ok(Task::Do(Command::Authorize { question, reservation, seconds, print }))
    }
}

impl KeyCall {
    /// The call, or everything that is wrong with it.
    pub(super) fn read(&self) -> Result<Call> {
        let mut faults = Faults::default();
        let call = self.call(&mut faults);
        faults.finish()?;
        Ok(call)
    }
}

/// Seconds until a call is unresolved.
pub(super) fn seconds(faults: &mut Faults, pointer: &str, seconds: Option<i64>) {
    let wrong = seconds.is_some_and(|seconds| !(1..=LONGEST).contains(&seconds));
    faults.when(wrong, pointer, "out_of_range", "must be between 1 and 86400 seconds");
}

/// How long a call is extended unless it says otherwise.
pub(super) const EXTENSION: i64 = SECONDS;

/// The call with its models, if its values are acceptable.
fn understood(
    faults: &mut Faults,
    (model, models): (Option<String>, Option<Vec<String>>),
    call: Call,
) -> Call {
    let both = model.is_some() && models.is_some();
    faults.when(both, "/models", "exclusive", "give model or models, not both");
    if let Some(model) = &model {
        name(faults, "/model", model);
    }
    if let Some(models) = &models {
        faults.when(models.is_empty(), "/models", "required", "must not be empty");
        faults.when(models.len() > MODELS, "/models", "too_many", "must have at most 32 entries");
        models.iter().enumerate().for_each(|(n, model)| name(faults, &format!("/models/{n}"), model));
    }
    if let Some(scope) = &call.scope {
        name(faults, "/scope", scope);
    }
    let size = call.size;
    let both = size.input_tokens.is_some() && size.input_bytes.is_some();
    faults.when(both, "/input_bytes", "exclusive", "give input_tokens or input_bytes, not both");
    for (pointer, quantity) in [
        ("/input_tokens", size.input_tokens),
        ("/input_bytes", size.input_bytes),
        ("/max_output_tokens", size.max_output_tokens),
        ("/images", size.images),
        ("/seconds", size.seconds),
        ("/characters", size.characters),
    ] {
        let wrong = quantity.is_some_and(|quantity| quantity > MOST);
        faults.when(wrong, pointer, "out_of_range", "must be at most 1000000000000");
    }
    labels(faults, call.project.as_deref(), call.session_id.as_deref());
    faults.tags("/tags", &call.tags);
    let models = models.unwrap_or_else(|| model.into_iter().collect());
    Call { models, ..call }
}

/// What a client's project and session may be called.
pub(super) fn labels(faults: &mut Faults, project: Option<&str>, session: Option<&str>) {
    for (pointer, label) in [("/project", project), ("/session_id", session)] {
        if let Some(label) = label {
            faults.when(label.is_empty(), pointer, "required", "must not be empty");
            faults.text(pointer, label, LABEL);
        }
    }
}

/// What a model or a kind of call may be called.
pub(super) fn name(faults: &mut Faults, pointer: &str, text: &str) {
    faults.when(text.is_empty(), pointer, "required", "must not be empty");
    faults.text(pointer, text, NAME);
}
