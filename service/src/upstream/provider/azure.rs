//! Azure's OpenAI service: the list is at `openai/models` under a dated version, the key is in `api-key`.

use super::{Dialect, Listing, capable, openai, place};
use entity::endpoint::CapabilityProfile;
use http::HeaderName;
use serde_json::Value;
use url::Url;

/// The version of the API that is asked for.
const VERSION: &str = "2024-10-21";

/// Azure's OpenAI service.
pub(super) struct Azure;

impl Dialect for Azure {
    fn whose(&self) -> &'static str {
        "Azure OpenAI"
    }

    fn bases(&self, given: &Url) -> Vec<Url> {
        let given = place::up_to(given, "/openai/");
        vec![place::without(&given, &["/openai", "/v1"])]
    }

    fn list(&self, base: &Url, _after: Option<&str>) -> Url {
        let mut url = place::below(base, "openai/models");
        url.query_pairs_mut().append_pair("api-version", VERSION);
        url
    }

    fn key(&self) -> (HeaderName, &'static str) {
        (HeaderName::from_static("api-key"), "")
    }

    fn read(&self, body: &Value) -> Option<Listing> {
        openai::list(body)
    }

    fn capabilities(&self) -> CapabilityProfile {
        capable(true, true, 128 * 1024)
    }
}
