//! What providers run themselves for a call and charge for by the use, beside its tokens: web searches and executions of code.
//! A use of a tool that has no class here is a doubt, since its charge is not known. Fetching a page costs its tokens alone.

use super::{Format, object::Object, openai_chat::agreed};
use crate::{
    Result,
    cost::{MOST, Usage},
};
use entity::terms::Component;

/// How often each ran.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tools {
    pub(super) web_searches: u64,
    pub(super) code_executions: u64,
}

impl Tools {
    /// Puts them into their classes.
    pub(super) fn classify(self, usage: &mut Usage) -> Result<()> {
        usage.set(Component::WebSearch, self.web_searches.min(MOST))?;
        usage.set(Component::CodeExecution, self.code_executions.min(MOST))
    }
}

/// Anthropic's `server_tool_use`.
pub(super) fn anthropic(object: &Object<'_>) -> Result<Tools> {
    let used = object.object("server_tool_use")?;
    Ok(Tools {
        web_searches: used.count("web_search_requests")?.unwrap_or(0),
        code_executions: used.count("code_execution_requests")?.unwrap_or(0),
    })
}

/// Those of OpenAI's formats, of which gateways alone tell tools, and of their dialects.
pub(super) fn openai(object: &Object<'_>, prompt_details: &Object<'_>, format: Format) -> Result<Tools> {
    match format {
        Format::Xai => xai(object),
        Format::Mistral => mistral(object),
        _ => gateway(object, prompt_details),
    }
}

/// LiteLLM tells searches within the details of the prompt or as Anthropic does, OpenRouter as Anthropic does; OpenRouter's
/// tools that were executed hold the searches among them.
fn gateway(object: &Object<'_>, prompt_details: &Object<'_>) -> Result<Tools> {
    const SEARCHES: &str = "web_search_requests";
    let places = ["server_tool_use", "server_tool_use_details"];
    let used = [object.object(places[0])?, object.object(places[1])?];
    let web_searches = agreed(&[(prompt_details, SEARCHES), (&used[0], SEARCHES), (&used[1], SEARCHES)])?;
    for (place, used) in places.into_iter().zip(&used) {
        if used.count("tool_calls_executed")?.is_some_and(|calls| calls > web_searches) {
            let message = "says that tools were executed, and not which";
            object.doubt(object.wrong(place, "unknown", message))?;
        }
    }
    Ok(Tools { web_searches, code_executions: 0 })
}

/// xAI charges the same for a search of the web and of X. Calls of an MCP server are the client's own.
fn xai(object: &Object<'_>) -> Result<Tools> {
    object.unclassed("num_sources_used")?;
    let used = object.object("server_side_tool_usage_details")?;
    let mut tools = Tools::default();
    for name in used.names() {
        match name.as_str() {
            "web_search_calls" | "x_search_calls" => tools.web_searches += used.count(name)?.unwrap_or(0),
            "code_interpreter_calls" => tools.code_executions += used.count(name)?.unwrap_or(0),
            "mcp_calls" => {}
            other => used.unclassed(other)?,
        }
    }
    Ok(tools)
}

/// Mistral's connectors. A premium search has another price than a search.
fn mistral(object: &Object<'_>) -> Result<Tools> {
    let used = object.object("connectors")?;
    let mut tools = Tools::default();
    for name in used.names() {
        match name.as_str() {
            "web_search" => tools.web_searches += used.count(name)?.unwrap_or(0),
            "code_interpreter" => tools.code_executions += used.count(name)?.unwrap_or(0),
            other => used.unclassed(other)?,
        }
    }
    Ok(tools)
}

/// Tools of a provider that does not document what it counts.
pub(super) fn undocumented(used: &Object<'_>) -> Result<()> {
    used.names().try_for_each(|name| used.unclassed(name))
}
